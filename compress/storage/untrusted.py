"""Untrusted input: bounded reads, plain JSON, and listings that stay inside their folder.

Refused input raises `ValueError` with the reason, and the caller adds the file and the remedy. Only the listing of a
folder raises `UsageError` with the name of the entry.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compress.errors import UsageError

NAME_LIMIT = 255  # characters of a class name
IMAGE_PIXELS = 6_000_000
"""Of the images that a network says that it takes: what answers them needs a few hundred bytes for each."""
JOINERS = re.compile("[\u200c\u200d\U000e0020-\U000e007f]")
"""Marks without a width of their own that join letters and emoji; others, such as those that turn text, stay out."""


def read_bytes(path: Path, limit: int) -> bytes:
    """All bytes of a regular file; raises `ValueError` for a pipe or a device, and beyond `limit` bytes."""
    require_regular(path)
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it is larger than {limit / 1e6:g} MB")
    return content


def require_regular(path: Path) -> None:
    """Raise `ValueError` unless the path is a regular file, because reading a pipe could block forever."""
    if not path.is_file():
        raise ValueError("it is not a regular file")


def plain_json(text: str | bytes) -> Any:
    """The content of JSON without duplicate keys, NaN and infinity; raises `ValueError` for any other text."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refused, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("it has a duplicate key")
    return table


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refused(text[:20])


def _refused(constant: str) -> float:
    raise ValueError(f"it holds {constant}")


def require_pixels(height: int, width: int) -> None:
    """Raise `ValueError` unless images of that size, of any proportions, fit in memory."""
    if height * width > IMAGE_PIXELS:
        raise ValueError(f"its images of {height}x{width} pixels are too large: {IMAGE_PIXELS:,} pixels are read")


def require_name(name: str) -> str:
    """The name of a class, unchanged; raises `ValueError` if it is not printable or too long."""
    if not JOINERS.sub("", name).strip() or not JOINERS.sub("", name).isprintable() or len(name) > NAME_LIMIT:
        raise ValueError(f"the name {name[:NAME_LIMIT]!r} cannot be printed or is too long")
    return name


def members(folder: Path, keep: Callable[[Path], bool]) -> list[Path]:
    """The entries of a folder that are `keep`, in order of their names and without hidden ones.

    Raises `UsageError` for a link out of the folder, because the author of an archive must not choose which files are
    read.
    """
    entries = sorted(path for path in folder.iterdir() if path.name[0] != "." and keep(path))
    home = folder.resolve()
    for path in entries:
        if path.is_symlink() and not path.resolve().is_relative_to(home):
            raise UsageError(f"{path} is a link that leads out of its folder: put the files themselves there")
    return entries
