"""Files that appear whole or not at all, and the digests that tell one content from another."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from compress.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be deleted anyway
    fcntl = None  # type: ignore[assignment]

TEMPORARY = re.compile(r"\..+\.compress-[a-z0-9_]{8}\.part")
"""Names of files that are being written, and of those that a killed process left behind."""
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; on success it is flushed to disk and takes the name.

    What processes that were killed left half-written for the same name is deleted first. Raises `UsageError` when the
    disk is full. After any error what stood under the name before stands there still.
    """
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_name(path)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.compress-", suffix=".part")
        temporary = Path(name)
        try:
            _claim(handle)
            yield temporary
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(handle)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, gone when the context is left: for files that are moved when all are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_name(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.compress-", suffix=".part") as name:
        handle = os.open(name, os.O_RDONLY)
        try:
            _claim(handle)
            yield Path(name)
        finally:
            os.close(handle)


def _claim(handle: int) -> bool:
    """Lock an open file or folder, as long as it is open; whether no other process holds it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def require_replaceable(path: Path, ours: Callable[[Path], bool], *, overwrite: bool) -> None:
    """Raise `UsageError` unless a file may be written to `path`.

    What is no regular file never is: a device, a pipe, a link. One that is there is, if it is `ours` or `overwrite`.
    """
    if not path.exists() and not path.is_symlink():
        return
    if path.is_symlink() or not path.is_file():
        kind = "a link" if path.is_symlink() else "a folder" if path.is_dir() else "no regular file"
        raise UsageError(f"{path} is {kind} and will not be written over: name a file with `out`")
    if not overwrite and not ours(path):
        raise UsageError(
            f"{path} is there and compress did not write it: choose another `out`, or pass `overwrite` to replace it"
        )


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
        _remove_if_left(path)


def sweep_name(path: Path) -> None:
    """Delete what killed processes left half-written for this one name."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.compress-*.part"):
        _remove_if_left(left)


def _remove_if_left(path: Path) -> None:
    """Delete a temporary file or folder that no living process holds."""
    if not TEMPORARY.fullmatch(path.name) or path.is_symlink():
        return
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return  # finished meanwhile, or not ours to read
    try:
        if not _claim(handle):
            return
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file():
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


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
