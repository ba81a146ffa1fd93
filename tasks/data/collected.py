"""A small folder of real images that the user collected: `DIR/CLASS/*.png|jpg`, or `DIR/*.png|jpg` without classes."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from compress.errors import UsageError, unknown_name
from compress.storage.untrusted import members

from .image_files import as_rgb, image_files, opened, read_all, require_memory
from .image_folder import read_classes
from .source import DataSource, LabelledImages


def read_collected(folder: Path, source: DataSource) -> LabelledImages:
    """All images of the folder in the size of the data's, labelled by the folder each is in.

    Raises `UsageError` for a folder that is no class of the data, a class without images, and a broken image.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: give a folder of images, one folder a class")
    found = {entry.name for entry in members(folder, Path.is_dir)}
    for name in sorted(found - set(source.class_names)):
        raise unknown_name(f"class folder in {folder}:", name, source.class_names)
    missing = [name for name in source.class_names if name not in found]
    if missing:
        raise UsageError(f"no folder for class {missing[0]!r} in {folder}: put .png or .jpg files into {missing[0]}/")
    return read_classes(folder, source.class_names, source.image_shape[1])


def read_photographs(folder: Path, shape: tuple[int, int, int]) -> Tensor:
    """All images of the folder as uint8 `[n, 3, h, w]`: scaled to cover that shape, and its window in the middle.

    Raises `UsageError` if there is no image, if one cannot be read, or if all would fill the memory.
    """
    files = image_files(folder) if folder.is_dir() else []
    if not files:
        raise UsageError(f"{folder} holds no .png, .jpg or .jpeg file: give a folder of photographs")
    require_memory(folder, len(files) * math.prod(shape))
    images = torch.empty(len(files), *shape, dtype=torch.uint8)
    for index, pixels in enumerate(read_all(lambda file: _covering(file, shape[1], shape[2]), files)):
        images[index] = pixels
    return images


def _covering(file: Path, height: int, width: int) -> Tensor:
    with opened(file) as image:
        pixels: Tensor = pil_to_tensor(ImageOps.fit(as_rgb(image), (width, height), Image.Resampling.BILINEAR))
    return pixels
