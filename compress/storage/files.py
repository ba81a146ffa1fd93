"""Files that appear whole or not at all, and the digests that tell one content from another."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from compress.errors import UsageError

TEMPORARY = re.compile(r"\..+\.compress-[a-z0-9_]{8}\.part")
"""Names of files that are being written, and of those that a killed process left behind."""
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; on success it is flushed to disk and takes the name.

    Raises `UsageError` when the disk is full. After any error what stood under the name before stands there still.
    """
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.compress-", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """While entered, a full disk is a `UsageError` that names `path`, whatever a library makes of it."""
    try:
        yield
    except Exception as error:  # torch raises RuntimeError, safetensors an error of its own
        if _tells_of_a_full_disk(error):
            raise UsageError(f"no space left on the device while writing {path}: free some and run again") from error
        raise


def _tells_of_a_full_disk(error: BaseException | None) -> bool:
    while error is not None:
        if getattr(error, "errno", None) in FULL or f"(os error {errno.ENOSPC})" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def sweep(folder: Path) -> None:
    """Delete the temporary files, and nothing else, that killed processes left in `folder` and below it."""
    for path in folder.rglob(".*.part"):
        if TEMPORARY.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def append_text(path: Path, text: str) -> None:
    """Add `text` to the end of a file in one piece, so that nobody finds half of it there.

    Raises `UsageError` when the disk is full; the file is then as it was.
    """
    data = text.encode()
    with room_for(path), path.open("ab", buffering=0) as file:
        before = file.tell()
        if file.write(data) < len(data):
            file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_with(path: Path, save: Callable[[Path], object]) -> None:
    """Let `save` write to a temporary path that then takes the name `path`."""
    with whole_file(path) as temporary:
        save(temporary)


def require_space(folder: Path, needed: int) -> None:
    """Raise `UsageError` unless `needed` bytes are free where `folder` is or will be."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UsageError(
            f"not enough space for {folder}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free; "
            "free some or choose another `out`"
        )


def digest(*parts: str | bytes) -> str:
    """SHA-256 of the parts, in order, as hexadecimal digits."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()
