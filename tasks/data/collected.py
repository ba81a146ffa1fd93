"""A small folder of real images that the user collected: `DIR/CLASS/**`, or `DIR/**` without classes."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from compress.errors import UsageError, unknown_name
from compress.framing import CENTRAL_SQUARE, Framing, Size

from .image_discovery import Tree
from .image_files import KINDS, as_rgb, opened, read_all, require_memory
from .image_folder import read_classes
from .source import DataSource, LabelledImages


def read_collected(folder: Path, source: DataSource, *, follow_links: bool = False) -> LabelledImages:
    """All images of the folder as the data's are cropped and resized, labelled by the folder each is in.

    Raises `UsageError` for a folder that is no class of the data, a class without images, and a broken image.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: give a folder of images, one folder a class")
    tree = Tree(folder, follow_links)
    names = {entry.name for entry in tree.folders(folder)}
    for name in sorted(names - set(source.class_names)):
        raise unknown_name(f"class folder in {folder}:", name, source.class_names)
    missing = [name for name in source.class_names if name not in names]
    if missing:
        raise UsageError(f"no folder for class {missing[0]!r} in {folder}: put {KINDS} files into {missing[0]}/")
    return read_classes(tree, folder, source.class_names, source.image_shape[1], source.framing)


def read_photographs(
    folder: Path, shape: tuple[int, int, int], framing: Framing = CENTRAL_SQUARE, *, follow_links: bool = False
) -> Tensor:
    """All images in and below the folder as uint8 `[n, 3, h, w]`, scaled to cover that shape and centre-cropped.

    Raises `UsageError` if there is no image, if one cannot be read, or if all need too much memory.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: give a folder of photographs")
    files = Tree(folder, follow_links).images(folder).files
    if not files:
        raise UsageError(f"{folder} holds no {KINDS} file: give a folder of photographs")
    require_memory(folder, len(files) * math.prod(shape))
    images = torch.empty(len(files), *shape, dtype=torch.uint8)
    size = shape[1], shape[2]
    for index, pixels in enumerate(read_all(lambda file: _framed(file, framing, size), files)):
        images[index] = pixels
    return images


def _framed(file: Path, framing: Framing, size: Size) -> Tensor:
    with opened(file) as image:
        pixels: Tensor = pil_to_tensor(framing.image(as_rgb(image), size))
    return pixels
