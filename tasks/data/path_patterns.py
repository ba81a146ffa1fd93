"""Images and masks by patterns of their paths, and splits by lists of names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from compress.errors import UsageError, first_line
from compress.storage.untrusted import read_bytes

from .image_discovery import Tree
from .image_files import SUFFIXES
from .mask_pairing import Pair

SPLIT = "{split}"
LIST_LIMIT = 20_000_000
"""Bytes of a list of names."""
PARTS = re.compile(r"(\*\*|\*|\?|\{split\})")
WILD = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
FOLDERS, NAMED_SPLIT = "((?:.*/)?)", "(?P<split>[^/]+)"


def files_matching(tree: Tree, pattern: str, setting: str) -> dict[str | None, dict[str, Path]]:
    """The image files below `root` whose path matches a pattern: by split, then by the text that its wildcards match.

    `*` matches any name, `**` any folders, and `{split}` the name of a split. Raises `UsageError` for a pattern that
    leads out of the folder, matches nothing, or matches two files that differ by their ending only.
    """
    root = tree.root
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise UsageError(f"`{setting}` {pattern!r} leads out of `data_root`: give a pattern below {root}")
    expression = _expression(pattern)
    by_split: dict[str | None, dict[str, Path]] = {}
    for file in tree.images(root).files:
        match = expression.fullmatch(file.relative_to(root).as_posix())
        if match is None:
            continue
        split = match["split"] if SPLIT in pattern else None
        place = expression.groupindex.get("split")
        parts = [text.strip("/") for index, text in enumerate(match.groups(""), 1) if index != place]
        named, name = by_split.setdefault(split, {}), "/".join(part for part in parts if part) or file.stem
        if name in named:
            raise UsageError(
                f"`{setting}` {pattern!r} fits {named[name]} and {file}, which it does not tell apart: say more in it"
            )
        named[name] = file
    if not by_split:
        raise UsageError(f"`{setting}` {pattern!r} fits no image file below {root}: {_there(tree)}")
    return by_split


def _expression(pattern: str) -> re.Pattern[str]:
    """Of each folder and of the file's name, what lies between its first and its last wildcard is a group."""
    body, ending = (pattern[:-2], r"\.[^/.]+") if pattern.endswith(".*") else (pattern, "")
    text = "/".join(map(_component, body.split("/"))).replace(FOLDERS + "/", FOLDERS)
    first, *others = text.split(NAMED_SPLIT)
    return re.compile(first + (NAMED_SPLIT if others else "") + "(?P=split)".join(others) + ending)


def _component(text: str) -> str:
    """The expression of one part of a path."""
    if text == "**":
        return FOLDERS
    parts = [NAMED_SPLIT if part == SPLIT else WILD.get(part, re.escape(part)) for part in PARTS.split(text) if part]
    wild = [index for index, part in enumerate(parts) if part in WILD.values()]
    if not wild:
        return "".join(parts)
    first, last = wild[0], wild[-1] + 1
    if NAMED_SPLIT in parts[first:last]:  # which is a group of its own
        return "".join(f"({part})" if part in WILD.values() else part for part in parts)
    return "".join([*parts[:first], "(", *parts[first:last], ")", *parts[last:]])


def _there(tree: Tree) -> str:
    files = [file.relative_to(tree.root).as_posix() for file in tree.images(tree.root).files[:2]]
    return f"there are {', '.join(files)}, ..." if files else "there is none at all; is `data_root` right?"


def listed(file: Path, root: Path, pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """The pairs that a list names: a line an image by its name or path, or the paths of an image and its mask.

    What follows on a line is left alone. Raises `UsageError` that names the line if it is not to be had.
    """
    try:
        lines = read_bytes(file, LIST_LIMIT).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the list {file}: {first_line(error)}; give a name a line") from error
    by_name = _by_name(root, pairs)
    chosen = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            pair = _chosen(line.strip(), root, by_name)
            if pair is None:
                raise UsageError(f"{file} line {number}, {line.strip()[:80]}, is no image with a mask below {root}")
            chosen.append(pair)
    if not chosen:
        raise UsageError(f"the list {file} is empty: give a name a line")
    return tuple(chosen)


def names_pairs(file: Path, root: Path, pairs: Sequence[Pair]) -> bool:
    """Whether the first line of a list names a pair. Lists of test images without masks do not."""
    with file.open(encoding="utf-8", errors="replace") as text:
        first = text.readline(4096).strip()
    return _chosen(first, root, _by_name(root, pairs)) is not None


def _by_name(root: Path, pairs: Sequence[Pair]) -> Mapping[str, Pair | None]:
    """Pairs by every way to name their image: `b.jpg`, `b`, `a/b.jpg`, ...; None for names of several."""
    named: dict[str, Pair | None] = {}
    for pair in pairs:
        parts = pair.image.relative_to(root).parts
        for at in range(len(parts)):
            name = "/".join(parts[at:])
            for key in (name, str(Path(name).with_suffix(""))):
                named[key] = None if named.get(key, pair) != pair else pair
    return named


def _chosen(line: str, root: Path, named: Mapping[str, Pair | None]) -> Pair | None:
    words = [word.lstrip("/") for word in re.split(r"[\s,;]+", line)]
    if len(words) > 1 and all(Path(word).suffix.lower() in SUFFIXES for word in words[:2]):
        files = [root / word for word in words[:2]]
        inside = all(file.resolve().is_relative_to(root.resolve()) and file.is_file() for file in files)
        return Pair(files[0], files[1]) if inside else None
    return next((pair for key in (line, words[0]) if (pair := named.get(key))), None)
