"""The marker file in folders that this package writes; folders without it are not ours.

Only a folder with the marker is overwritten, and only names that this package writes are deleted in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from compress.errors import UsageError, first_line
from compress.storage.files import TEMPORARY, write_text
from compress.storage.untrusted import plain_json, read_bytes

MARKER = ".compress.json"
FORMAT = 1
"""Of run and model directories, their settings files and their checkpoints."""
LIMIT = 10_000  # bytes


def mark(folder: Path, kind: str) -> None:
    """Write the mark of a folder of that kind. Call it before anything else is written or deleted there."""
    write_text(folder / MARKER, json.dumps({"kind": kind, "format": FORMAT}) + "\n")


def kind_of(folder: Path) -> str | None:
    """What a folder says that it is; None without a mark.

    Raises `UsageError` if the mark is broken, or of a format that a later version writes.
    """
    file = folder / MARKER
    if not file.is_file():
        return None
    try:
        content = plain_json(read_bytes(file, LIMIT))
        kind, number = content["kind"], content["format"]
        if not isinstance(kind, str) or type(number) is not int:
            raise ValueError("it names no kind and no format")
    except Exception as error:  # a text that is no table has no keys
        raise UsageError(f"the mark {file} is broken: {first_line(error)}; delete it if the folder is yours") from error
    require_format(number, str(folder))
    return kind


def require_format(number: object, what: str) -> None:
    """Raise `UsageError` for a format that a later version of this package writes, or for what is no format."""
    if type(number) is not int or number < 1:
        raise UsageError(f"{what} says the format {number!r:.40}: a whole number from 1 to {FORMAT} is expected")
    if number > FORMAT:
        raise UsageError(f"{what} has the format {number}, this version of compress reads {FORMAT}: use a later one")


def require_own(folder: Path, kind: str, *, setting: str = "out") -> None:
    """Raise `UsageError` unless the folder carries the mark of that kind, so that it may be written over.

    `setting` is the one that named the folder.
    """
    if kind_of(folder) != kind:
        raise UsageError(
            f"{folder} is not a {kind} of compress: it carries no mark of one ({MARKER}) and will not be overwritten; "
            f"choose another `{setting}`. What version 0.1.0 wrote carries none: delete that yourself"
        )


def clear(folder: Path, patterns: Iterable[str]) -> None:
    """Delete the files of a folder that match, such as `samples/round-*.png`, and sub-folders that this leaves empty.

    Nothing is deleted through a link: what it leads to is not of this folder.
    """
    for pattern in patterns:
        below, _, name = pattern.rpartition("/")
        if any((folder / part).is_symlink() for part in _upwards(below)):
            continue
        for path in (folder / below).glob(name):
            if path.is_file() or path.is_symlink():
                path.unlink()
        for part in _upwards(below):
            place = folder / part
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()


def holds_more_than(folder: Path, *names: str) -> bool:
    """Whether there is anything in a folder but these names, its mark, and files that were never finished."""
    return any(path.name not in (*names, MARKER) and not TEMPORARY.fullmatch(path.name) for path in folder.iterdir())


def _upwards(below: str) -> list[str]:
    """`checkpoints/last`, then `checkpoints`."""
    return [str(path) for path in (Path(below), *Path(below).parents) if str(path) != "."]
