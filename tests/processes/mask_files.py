"""Images and masks written in the forms that people have them in; all of them say the same `LABELS`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from compress.settings import LabelSettings
from compress.tasks.data import DataSource, open_data

LABELS = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 255, 1, 1]], np.uint8)
"""Sky, road and one pixel that does not count."""
TWO = "sky\nroad\n"
COLOURS = {0: (70, 130, 180), 1: (128, 64, 128), 255: (0, 0, 0)}
COLOURED = "sky 70 130 180\nroad 128 64 128\nvoid 0 0 0\n"
Write = Callable[[Path], None]
Form = tuple[Write, dict[str, Any]]
"""What writes the form into an empty folder, and the settings that it is opened with."""


def save(file: Path, pixels: np.ndarray, mode: str | None = None, **options: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode, palette=Image.Palette.ADAPTIVE) if mode else image).save(file, **options)


def mapped(table: dict[int, Any]) -> np.ndarray:
    """The labels with other values or colours."""
    pixels = np.array([[table[value] for value in row] for row in LABELS.tolist()])
    return pixels.astype(np.uint16 if pixels.max() > 255 else np.uint8)


def folder(
    *pairs: tuple[str, str],
    names: str | None = TWO,
    labels: np.ndarray = LABELS,
    listed: str = "",
    mode: str | None = None,
) -> Write:
    """Images and masks at places such as `test/images/a.jpg`, `classes.txt`, and `a` in a list of names."""

    def write(root: Path) -> None:
        for image_place, mask_place in pairs:
            save(root / image_place, np.full((*LABELS.shape, 3), 99, np.uint8))
            save(root / mask_place, labels, mode)
        if names is not None:
            (root / "classes.txt").write_text(names, encoding="utf-8")
        if listed:
            (root / listed).parent.mkdir(parents=True, exist_ok=True)
            (root / listed).write_text("a\n")

    return write


def masks(
    labels: np.ndarray = LABELS, *, mode: str | None = None, name: str = "a.png", names: str | None = TWO
) -> Write:
    """One image, and its mask of another kind."""
    return folder(("test/images/a.jpg", f"test/masks/{name}"), names=names, labels=labels, mode=mode)


def class_list(name: str, text: str, labels: np.ndarray = LABELS) -> Write:
    """One image and mask, with a class list of another kind."""

    def write(root: Path) -> None:
        masks(labels, names=None)(root)
        (root / name).write_text(text, encoding="utf-8")

    return write


def opened(root: Path, data: str = "mask-folder", **settings: Any) -> DataSource:
    """The folder as `compress` opens it."""
    return open_data(data, "segmentation", root, labels=LabelSettings(**settings))
