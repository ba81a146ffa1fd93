"""Any folder of images and label maps, with the names of the classes in a text file beside them.

    DIR/classes.txt                  a class a line: its name, or its name and its colour, `road 128 64 128`
    DIR/train/images  DIR/train/masks
    DIR/test/images   DIR/test/masks (or val); or DIR/images and DIR/masks, all of them held out

Masks are png files with an index a pixel, or in colours where classes.txt gives colours. The line number, from 0, is
the index of a class; a line called `void` stands for pixels that do not count, and 255 never counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compress.errors import UsageError, first_line
from compress.storage.untrusted import read_bytes, require_name
from compress.task import IGNORE_INDEX

from .label_maps import Decode, Pairs, index_table, indices, paired_source
from .source import DataSource, LabelledImages, Place

VOID = "void"
CLASS_LIMIT, TEXT_LIMIT = 250, 100_000
STRIP = 64
"""Rows of a mask whose colours are looked up at once: each pixel takes some fifty bytes meanwhile."""
LINE = re.compile(r"(?P<name>\S(?:.*?\S)?)(?:\s+(?P<colour>\d{1,3}\s+\d{1,3}\s+\d{1,3}))?")
TRAINING, HELD_OUT = "train", ("test", "val")


@dataclass(frozen=True)
class ClassList:
    """What classes.txt says: names and colours by index, `void` among them."""

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    """Empty where masks hold indices."""

    @property
    def counted(self) -> list[int]:
        """The indices of classes, without those of `void`."""
        return [index for index, name in enumerate(self.names) if name.lower() != VOID]

    def decoder(self) -> Decode:
        """How masks are read: by index, or by colour."""
        void = [index for index in range(len(self.names)) if index not in self.counted]
        by_index = index_table(self.counted, [*void, IGNORE_INDEX])
        return by_colour(self.colours, by_index[: len(self.names)]) if self.colours else indices(by_index)


def open_mask_folder(place: Place) -> DataSource:
    """The folder described above; reads class names and the sizes of held-out images.

    Raises `UsageError` if classes.txt or a folder is missing or wrong, or if images and masks do not pair up.
    """
    root = place.root
    classes = read_classes(root / "classes.txt")
    split = next((root / name for name in HELD_OUT if (root / name).is_dir()), root)
    held_out, decode = Pairs.find(split / "images", split / "masks", place.image_size), classes.decoder()

    def training() -> LabelledImages:
        folder = root / TRAINING
        if split == root or not folder.is_dir():
            raise UsageError(
                f"{root} has no {TRAINING}/ to train on: make {TRAINING}/images, {TRAINING}/masks and test/"
            )
        return Pairs.find(folder / "images", folder / "masks", place.image_size).read(decode)

    return paired_source(
        name="mask-folder",
        class_names=tuple(classes.names[index] for index in classes.counted),
        place=place,
        sizes=held_out.sizes,
        training=training,
        held_out=lambda: held_out.read(decode),
        palette=tuple(classes.colours[index] for index in classes.counted) if classes.colours else (),
    )


def read_classes(file: Path) -> ClassList:
    """Raises `UsageError` that names the line if the file says two things at once or nothing that can be used."""
    try:
        text = read_bytes(file, TEXT_LIMIT).decode("utf-8-sig")
        matches = [LINE.fullmatch(line.strip()) for line in text.splitlines() if line.strip()]
        names = tuple(require_name(match["name"]) for match in matches if match)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {file}: {first_line(error)}; give the names of the classes in it, one a line"
        ) from error
    given = [match["colour"] for match in matches if match]
    counted = [name for name in names if name.lower() != VOID]
    if not 2 <= len(counted) <= CLASS_LIMIT or len(set(counted)) < len(counted):
        raise UsageError(
            f"{file} names {len(counted)} classes, {len(set(counted))} different: 2 to {CLASS_LIMIT} are needed"
        )
    if any(given) and not all(given):
        raise UsageError(f"{file} gives no colour to {names[given.index(None)]!r}: give one to every line, or to none")
    return ClassList(names, _colours(file, names, [colour for colour in given if colour]))


def _colours(file: Path, names: tuple[str, ...], given: list[str]) -> tuple[tuple[int, int, int], ...]:
    seen: dict[tuple[int, int, int], str] = {}
    for name, text in zip(names, given, strict=False):
        red, green, blue = map(int, text.split())
        if max(red, green, blue) > 255:
            raise UsageError(f"{file} gives {name!r} the colour {text}: three numbers from 0 to 255 are needed")
        if (red, green, blue) in seen:
            raise UsageError(f"{file} gives {seen[red, green, blue]!r} and {name!r} the same colour, {text}")
        seen[red, green, blue] = name
    return tuple(seen)


def by_colour(colours: tuple[tuple[int, int, int], ...], classes: NDArray[np.uint8]) -> Decode:
    """Decodes masks in colours: `colours[i]` stands for `classes[i]`."""
    keys = _key(np.array(colours, np.int64))
    order = keys.argsort()

    def decode_strip(strip: NDArray[np.uint8]) -> NDArray[np.uint8]:
        pixels = strip.astype(np.int64)
        found = _key(pixels)
        nearest = order[np.searchsorted(keys[order], found).clip(max=len(keys) - 1)]
        known = keys[nearest] == found
        if not known.all():
            raise ValueError(f"it holds the colour {tuple(pixels[~known][0].tolist())}, which is no class")
        decoded: NDArray[np.uint8] = classes[nearest]
        return decoded

    def decode(labels: Image.Image) -> NDArray[np.uint8]:
        rows = np.asarray(labels.convert("RGB"))
        return np.concatenate([decode_strip(rows[top : top + STRIP]) for top in range(0, len(rows), STRIP)])

    return decode


def _key(colours: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number a colour `[..., 3]`."""
    return (colours[..., 0] << 16) | (colours[..., 1] << 8) | colours[..., 2]
