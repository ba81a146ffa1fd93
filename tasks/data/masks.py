"""Decodes masks: pixel values or colours to classes, for every kind of image file.

Index masks may be grey, with a palette, of 1 or 16 bits, with a transparency that is left out, or RGB whose three
channels are equal. JPEG is refused, since its compression moves pixels into other classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compress.errors import UsageError
from compress.task import IGNORE_INDEX

from .image_files import opened
from .public_classes import Colour

UNDECLARED = 254
"""Marks a pixel value that is not a class."""
VALUES = 1 << 16
MUCH = 0.5
"""Share of ignored pixels above which a note is printed."""
STRIP = 64
"""Rows of a mask whose colours are looked up at once; each pixel takes about fifty bytes during that."""

Classes = NDArray[np.uint8]
Decode = Callable[[Image.Image], Classes]
"""A function from a label image to the class of every pixel `[h, w]`, 255 where ignored; `ValueError` for values that
are not a class."""


@dataclass(frozen=True)
class Reading:
    """How the masks of a data set are decoded, and the advice in errors if that fails."""

    decode: Decode
    void_by_default: bool = False
    """Whether 255 is ignored by default rather than by a setting: masks of only one class and 255 are then doubtful."""


@contextmanager
def opened_mask(file: Path) -> Iterator[Image.Image]:
    """The label image in a file; raises `UsageError` as `opened` does, and for formats that lose values."""
    with opened(file, deep=True) as image:
        if image.format == "JPEG" or (image.format == "WEBP" and not _is_lossless(file)):
            raise UsageError(
                f"{file} is a {image.format} file, whose compression moves pixels into other classes: "
                "export masks as PNG from where they were drawn"
            )
        yield image


def _is_lossless(webp: Path) -> bool:
    with webp.open("rb") as file:
        return b"VP8L" in file.read(64)


def decoded(file: Path, decode: Decode) -> Classes:
    """The classes in a mask file `[h, w]`; raises `UsageError` that names the file and the value that is no class."""
    with opened_mask(file) as labels:
        labels.load()
    try:
        return decode(labels)
    except ValueError as error:
        raise UsageError(f"{file}: {error}") from error


def numbers(labels: Image.Image) -> NDArray[np.integer[Any]] | None:
    """The value of every pixel `[h, w]`; None if the mask is coloured. Raises `ValueError` for fractions."""
    if labels.mode in {"RGB", "RGBA"}:
        red, green, blue = (np.asarray(labels.getchannel(channel)) for channel in range(3))
        return red if (red == green).all() and (red == blue).all() else None
    if labels.mode == "P" and labels.format == "GIF":  # whose writers number their colours anew
        return numbers(labels.convert("RGB"))
    if labels.mode in {"CMYK", "YCbCr", "LAB", "HSV"}:
        return None
    values = np.asarray(labels.getchannel(0) if labels.mode in {"LA", "PA", "La"} else labels)
    if values.dtype == bool:
        return values.astype(np.uint8)
    if labels.mode != "F":
        return values
    whole = values.astype(np.int64)
    if (whole != values).any():
        raise ValueError("its pixels are fractions and no indices of classes")
    return whole


def index_table(classes: Sequence[int], void: Sequence[int]) -> Classes:
    """For `indices`: value `classes[i]` is class i, `void` values are not counted, others are no classes."""
    table = np.full(VALUES, UNDECLARED, np.uint8)
    table[list(void)] = IGNORE_INDEX
    table[list(classes)] = np.arange(len(classes))
    return table


def indices(table: Classes, advice: str = "") -> Decode:
    """Decodes masks whose pixel values name classes by `table`, of `index_table`."""
    white = 255 if table[1] == UNDECLARED and table[255] != UNDECLARED else 1  # of 1-bit files: 0 and 1, or 0 and 255

    def decode(labels: Image.Image) -> Classes:
        values = numbers(labels)
        if values is None:
            raise ValueError(
                f"it is no map of indices but a picture of mode {labels.mode}: give every class its colour in "
                "classes.txt, a line each such as `road 128 64 128`"
            )
        values = values * np.uint8(white) if labels.mode == "1" else values
        if values.size and not 0 <= int(values.min()) <= int(values.max()) < VALUES:
            raise ValueError(f"it holds values from {values.min()} to {values.max()}: classes are 0 to 255")
        classes: Classes = table[values]
        wrong = classes == UNDECLARED
        if wrong.any():
            value = int(values[wrong][0])
            raise ValueError(f"it holds the value {value}, which is no class{advice.format(value=value)}")
        return classes

    return decode


def by_colour(colours: Sequence[Colour], classes: Classes, advice: str = "") -> Decode:
    """Decodes masks in colours: `colours[i]` is `classes[i]`."""
    keys = _key(np.array(colours, np.int64))
    order = keys.argsort()

    def decode_strip(strip: NDArray[np.uint8]) -> Classes:
        pixels = strip.astype(np.int64)
        sought = _key(pixels)
        nearest = order[np.searchsorted(keys[order], sought).clip(max=len(keys) - 1)]
        listed = keys[nearest] == sought
        if not listed.all():
            raise ValueError(f"it holds the colour {tuple(pixels[~listed][0].tolist())}, which is no class{advice}")
        strip_classes: Classes = classes[nearest]
        return strip_classes

    def decode(labels: Image.Image) -> Classes:
        if labels.mode[0] in "IF":
            raise ValueError(f"it holds numbers of more than 8 bits where colours are expected{advice}")
        rows = np.asarray(labels.convert("RGB"))
        return np.concatenate([decode_strip(rows[top : top + STRIP]) for top in range(0, len(rows), STRIP)])

    return decode


def by_index_or_colour(index: Decode, colour: Decode) -> Decode:
    """Decodes masks of data sets that exist in both forms: coloured masks by colour, others by index."""

    def decode(labels: Image.Image) -> Classes:
        return (colour if numbers(labels) is None else index)(labels)

    return decode


def _key(colours: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number a colour `[..., 3]`."""
    return (colours[..., 0] << 16) | (colours[..., 1] << 8) | colours[..., 2]


def occurrence_notes(
    counts: Sequence[int], void: float, class_names: Sequence[str], reading: Reading, example: Path
) -> tuple[str, ...]:
    """What is odd in the labels of a whole split, of pixels by class and the share of pixels that do not count.

    Raises `UsageError` where 255 does not count by default only and one class is all that is left.
    """
    present = [name for name, count in zip(class_names, counts, strict=True) if count]
    if reading.void_by_default and void > 0 and present in ([], [class_names[0]]):
        raise UsageError(
            f"masks such as {example} hold nothing but {'0 and ' * bool(present)}255, which does not count: if 255 is "
            "a class say the value of each with `mask_values`, such as 0,255; if not pass `ignore_index` 255"
        )
    absent = [name for name, count in zip(class_names, counts, strict=True) if not count]
    notes = []
    if absent and len(absent) <= len(class_names) // 2:
        notes.append(f"no pixel of the labels is {', '.join(absent[:5])}{', ...' if len(absent) > 5 else ''}")
    elif absent:
        notes.append(f"{len(absent)} of {len(class_names)} classes are in no label: is the class list right?")
    if void > MUCH:
        notes.append(f"{void:.0%} of the labelled pixels do not count")
    return tuple(notes)
