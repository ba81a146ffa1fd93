"""Atomic file writes, free-space checks, and content digests."""

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
"""Names of temporary files, including those that a killed process left behind."""
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to. On success it is flushed to disk and renamed to `path`.

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
    """A temporary folder beside `path`, deleted when the context ends. Move files out of it when all are written."""
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
    """While entered, a full disk raises `UsageError` with `path` in place of the library's own exception."""
    try:
        yield
    except Exception as error:  # torch raises RuntimeError, safetensors its own error
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
    """Delete only the temporary files that killed processes left in and below `folder`."""
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
    """Write `text` as UTF-8, atomically."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def append_text(path: Path, text: str) -> None:
    """Append `text` to a file in one write, so that a reader never sees a part of it.

    Raises `UsageError` if the disk is full; the file is then unchanged.
    """
    data = text.encode()
    with room_for(path), path.open("ab", buffering=0) as file:
        before = file.tell()
        if file.write(data) < len(data):
            file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_with(path: Path, save: Callable[[Path], object]) -> None:
    """Let `save` write to a temporary path, which is then renamed to `path`."""
    with whole_file(path) as temporary:
        save(temporary)


def require_space(folder: Path, needed: int) -> None:
    """Raise `UsageError` unless `needed` bytes are free on the disk of `folder`, which need not exist."""
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
