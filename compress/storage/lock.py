"""One process at a time: a folder that is being written to is nobody else's."""

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
    """While entered, no other process may enter the same folder, which is made if it is not there.

    The lock is the operating system's, released by it when a process dies however it may. Raises `UsageError` that
    names the process that holds it. New folders into which nothing was put are taken away again.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with room_for(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / LOCK), folder / HOLDER
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        number = holder.read_text(encoding="ascii") if holder.is_file() else "unknown"
        raise UsageError(
            f"{folder} is in use by another process, number {number}: wait for it, end it, or choose another `out`"
        ) from error
    try:
        with room_for(holder):
            holder.write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        lock.release()
        if made and not holds_anything(folder):
            shutil.rmtree(folder)
            with suppress(OSError):  # somebody else may have put something there
                for above in made[1:]:
                    above.rmdir()


def holds_anything(folder: Path) -> bool:
    """Whether there is anything in a folder but its mark and the traces of a lock and of unfinished files."""
    return holds_more_than(folder, LOCK, HOLDER)
