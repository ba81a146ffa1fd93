"""Names, colours and mask values of classes, from the text and JSON files that annotation tools and data sets bring.

A text file holds a class a line: its name alone, or with its colour (`road 128 64 128`, `road: (128, 64, 128)`,
`128,64,128 road`, `#804080 road`) or its value in masks (`7 road`). Lines that begin with `#` and a space are comments.
What cannot be read is refused: half a colour is never taken for a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.errors import UsageError, first_line
from compress.storage.untrusted import plain_json, read_bytes, require_name

from .public_classes import ClassList, Colour

VOID = "void"
CLASS_LIMIT, TEXT_LIMIT = 250, 100_000
HEX = re.compile(r"#[0-9a-fA-F]{6}(?![0-9a-zA-Z])")
HEX_LIKE = re.compile(r"(?:^|\s)#[0-9a-fA-F]{3,8}(?![0-9a-zA-Z])")
FOUR_LAST = re.compile(r"(?:\d+[\s,;]+){3}\d+[)\]]?$")
NUMBER = r"\d+(?:\.\d+)?"
LAST_NUMBERS = re.compile(rf"(?<![\w.])({NUMBER}(?:[\s,;]+{NUMBER})*)$")
FIRST_NUMBERS = re.compile(rf"^({NUMBER}(?:[\s,;]+{NUMBER})*)(?![\w.])")
NEGATIVE = re.compile(r"(?:^|[\s,;(\[])-\d")
BRACKETED = re.compile(r"(?:\brgb\s*)?[(\[{]([\d\s,;.]*)[)\]}]", re.IGNORECASE)
BETWEEN = " \t,;:=|"
"""What may stand between a name and its numbers."""
HEADING = {
    "", "name", "names", "class", "classes", "label", "labels", "id", "index", "value", "pixel value", "r", "g", "b",
    "red", "green", "blue", "color", "colour", "rgb", "color_rgb", "hex", "parts", "actions",
}  # fmt: skip
NAME_KEYS = ("name", "label", "class", "title", "readable")
COLOUR_KEYS = ("color", "colour", "rgb")
VALUE_KEYS = ("value", "id", "index")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One class as its line or its JSON object says it."""

    name: str
    colour: Colour | None = None
    value: int | None = None


def read_class_list(file: Path) -> ClassList:
    """The classes in a file.

    Raises `UsageError` that names the line if the file says two things at once or nothing that can be used.
    """
    try:
        text = read_bytes(file, TEXT_LIMIT).decode("utf-8-sig")
        entries = _json_entries(plain_json(text)) if file.suffix.lower() == ".json" else _lines(text)
        for entry in entries:
            require_name(entry.name)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {file}: {first_line(error)}; give the names of the classes in it, one a line"
        ) from error
    _require_whole(file, entries)
    entries = sorted(entries, key=lambda entry: entry.value or 0)  # stable: as they stand where there are no values
    colours = tuple(entry.colour for entry in entries if entry.colour)
    values = tuple(entry.value for entry in entries if entry.value is not None)
    return ClassList(names=tuple(entry.name for entry in entries), colours=colours, values=values)


def _require_whole(file: Path, entries: Sequence[Entry]) -> None:
    counted = [entry.name for entry in entries if entry.name.lower() != VOID]
    if not 2 <= len(counted) <= CLASS_LIMIT or len(set(counted)) < len(counted):
        raise UsageError(
            f"{file} names {len(counted)} classes, {len(set(counted))} different: 2 to {CLASS_LIMIT} are needed"
            f"{', the background being one' if len(counted) == 1 else ''}"
        )
    for what, said in (("colour", [entry.colour for entry in entries]), ("value", [entry.value for entry in entries])):
        owners: dict[object, str] = {}
        for entry, shown in zip(entries, said, strict=True):
            if shown is not None and shown in owners:
                text = " ".join(map(str, shown)) if isinstance(shown, tuple) else shown
                raise UsageError(f"{file} gives {owners[shown]!r} and {entry.name!r} the same {what}, {text}")
            owners[shown] = entry.name
        if None in owners and len(owners) > 1:
            raise UsageError(f"{file} gives no {what} to {owners[None]!r}: give one to every line, or to none")


def _lines(text: str) -> list[Entry]:
    numbered = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in numbered if line and not _is_comment(line)]
    if len(lines) > 1 and _is_heading(lines[0][1]):
        del lines[0]
    if lines and all(FOUR_LAST.search(line) for _, line in lines):
        raise ValueError("each line ends in four numbers: give colours without transparency, `road 128 64 128`")
    entries = []
    for number, line in lines:
        try:
            entries.append(_entry(line))
        except ValueError as error:
            raise ValueError(f"line {number}, {line:.60}, {error}") from error
    return entries


def _is_comment(line: str) -> bool:
    return line.startswith("#") and not HEX_LIKE.match(line)


def _is_heading(line: str) -> bool:
    """Whether a first line names columns: at least two of them, and nothing else."""
    words = [word.strip().strip("\"'").lower() for word in re.split(r"[,;:\t]", line)]
    return len(words) > 1 and all(word in HEADING for word in words)


def _entry(line: str) -> Entry:
    """Raises `ValueError` for a line with half a colour, or with more numbers than a colour and a value have."""
    colours = [_hexadecimal(mark.group()) for mark in HEX.finditer(line)]
    if len(colours) > 1:
        raise ValueError("holds two colours")
    rest = HEX.sub(" ", line) if colours else line
    if HEX_LIKE.search(rest):
        raise ValueError("has a # that begins neither a colour of six digits nor a comment, `# text`")
    if NEGATIVE.search(rest):
        raise ValueError("holds a number below 0")
    rest = BRACKETED.sub(r" \1 ", rest)
    rest = _unquoted(rest.strip(BETWEEN))
    first, rest = _cut(FIRST_NUMBERS, rest)
    last, rest = _cut(LAST_NUMBERS, rest)
    if not rest:  # nothing but numbers: names such as `0` and `1`, a line each
        if len(first) + len(last) > 1 or colours or not first:
            raise ValueError("has no name")
        return Entry(name=first[0])
    return _read(rest, first, last, colours)


def _read(name: str, first: list[str], last: list[str], colours: list[Colour]) -> Entry:
    values: list[int] = []
    for numbers, at_end in ((first, False), (last, True)):
        if len(numbers) == 4 and not colours and not (at_end and first):  # a value and a colour, or a name's own number
            if at_end:
                name = f"{name} {numbers[0]}"
            else:
                values.append(_whole(numbers[0], 65_535))
            colours = [_colour(numbers[1:])]
        elif len(numbers) == 3 and not colours:
            colours = [_colour(numbers)]
        elif len(numbers) == 1 and not at_end:
            values.append(_whole(numbers[0], 65_535))
        elif len(numbers) == 1:
            name = f"{name} {numbers[0]}"
        elif numbers:
            raise ValueError(f"holds {len(numbers)} numbers together: a colour has three, from 0 to 255")
    return Entry(name=_unquoted(name), colour=colours[0] if colours else None, value=values[0] if values else None)


def _cut(pattern: re.Pattern[str], text: str) -> tuple[list[str], str]:
    """The numbers at one end of a line, and what is left of it."""
    match = pattern.search(text)
    if match is None:
        return [], text
    rest = (text[: match.start()] + text[match.end() :]).strip(BETWEEN)
    return re.split(r"[\s,;]+", match.group()), rest


def _unquoted(text: str) -> str:
    return text[1:-1].strip() if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'" else text


def _whole(text: str, most: int) -> int:
    if "." in text or int(text) > most:
        raise ValueError(f"holds {text} where whole numbers from 0 to {most} are needed")
    return int(text)


def _colour(numbers: Sequence[str]) -> Colour:
    red, green, blue = (_whole(number, 255) for number in numbers)
    return red, green, blue


def _hexadecimal(text: str) -> Colour:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:], 16)


def _json_entries(content: object) -> list[Entry]:
    """Of a list of names or objects, of names by index, of indices or colours by name, or of mmseg's `METAINFO`."""
    if isinstance(content, Mapping):
        named = next((content[key] for key in ("classes", "labels", "categories", "id2label") if key in content), None)
        palette = content.get("palette")
        if isinstance(named, list) and isinstance(palette, list):
            if len(named) != len(palette):
                raise ValueError(f"it has {len(named)} classes and {len(palette)} colours")
            content = [{"name": name, "color": colour} for name, colour in zip(named, palette, strict=True)]
        elif named is not None:
            return _json_entries(named)
    if isinstance(content, Mapping):
        return [_json_pair(str(key), value) for key, value in content.items()]
    if not isinstance(content, list):
        raise ValueError("it is no list of classes")
    return [Entry(name=entry) if isinstance(entry, str) else _json_object(entry) for entry in content]


def _json_pair(key: str, value: object) -> Entry:
    if isinstance(value, str) and key.isdecimal():
        return Entry(name=value, value=_whole(key, 65_535))
    if isinstance(value, int) and not isinstance(value, bool):
        return Entry(name=key, value=_whole(str(value), 65_535))
    if isinstance(value, list):
        return Entry(name=key, colour=_json_colour(value))
    raise ValueError(f"{key!r:.60} leads to {value!r:.60}, which is neither a name nor a number nor a colour")


def _json_object(entry: object) -> Entry:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{entry!r:.60} is no class")
    name, colour, value = (
        next((entry[key] for key in keys if key in entry), None) for keys in (NAME_KEYS, COLOUR_KEYS, VALUE_KEYS)
    )
    if not isinstance(name, str):
        raise ValueError(f"{dict(entry)!r:.60} has no name")
    return Entry(
        name=name,
        colour=None if colour is None else _json_colour(colour),
        value=None if value is None else _whole(str(value), 65_535),
    )


def _json_colour(value: object) -> Colour:
    if isinstance(value, str) and HEX.fullmatch(value):
        return _hexadecimal(value)
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError(f"{value!r:.60} is no colour: three numbers from 0 to 255 are needed")
    return _colour([str(number) for number in value])
