"""A lock on folders, so that only one process writes to each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from compress.errors import UsageError
from compress.storage.files import room_for
from compress.storage.marker import holds_more_than

LOCK, HOLDER = ".lock", ".lock-holder"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """While entered, no other process can lock the same folder, which is created if it is missing.

    The operating system releases the lock when the process ends for any reason. Raises `UsageError` with the number of
    the process that holds it. A new folder that stays empty is removed again.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    with room_for(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / LOCK), folder / HOLDER
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        number = holder.read_text(encoding="ascii") if holder.is_file() else "unknown"
        raise UsageError(
            f"{folder} is in use by process {number}: wait for it, end it, or choose another `out`"
        ) from error
    try:
        with room_for(holder):
            holder.write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        lock.release()
        if missing and not holds_anything(folder):
            shutil.rmtree(folder)
            with suppress(OSError):  # another process may have written something there
                for above in missing[1:]:
                    above.rmdir()


def holds_anything(folder: Path) -> bool:
    """Whether there is anything in a folder but its mark and the traces of a lock and of unfinished files."""
    return holds_more_than(folder, LOCK, HOLDER)
