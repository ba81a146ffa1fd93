"""A small folder of real images that the user collected, `DIR/CLASS/*.png|jpg`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from compress.errors import UsageError, unknown_name

from .source import DataSource, LabelledImages

SUFFIXES = (".png", ".jpg", ".jpeg")


def read_collected(folder: Path, source: DataSource) -> LabelledImages:
    """All images of the folder, resized to the data's image shape, labelled by the folder each is in.

    Raises `UsageError` for a folder that is no class of the data, a class without images, and a broken image.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: give a folder of images, one folder a class")
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    for name in found:
        if name not in source.class_names:
            raise unknown_name(f"class folder in {folder}:", name, source.class_names)
    files = [sorted(_image_files(folder / name)) for name in source.class_names]
    empty = [name for name, of_class in zip(source.class_names, files, strict=True) if not of_class]
    if empty:
        raise UsageError(f"no image of class {empty[0]!r} in {folder}: put .png or .jpg files into {folder / empty[0]}")
    labels = torch.tensor([label for label, of_class in enumerate(files) for _ in of_class])
    images = torch.stack([_read(file, source.image_shape) for of_class in files for file in of_class])
    return LabelledImages(images, labels)


def _image_files(folder: Path) -> list[Path]:
    return [file for file in folder.glob("*") if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]


def _read(file: Path, shape: tuple[int, int, int]) -> Tensor:
    try:
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and its own for the same thing
        raise UsageError(f"cannot read the image {file}: {error}; mend or remove it") from error
    size = (shape[2], shape[1])
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
