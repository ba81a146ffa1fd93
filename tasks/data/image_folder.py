"""Any folder of images, one sub-folder a class, with splits above them or without."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from compress.errors import UsageError
from compress.storage.untrusted import members, require_name

from .image_files import as_rgb, image_files, opened, read_all, require_memory
from .source import DataSource, LabelledImages, Place

TRAINING, HELD_OUT = "train", ("test", "val")
USUAL_IMAGE_SIZE = 224
"""Pixels; what most ImageNet networks were trained on."""


def open_image_folder(place: Place) -> DataSource:
    """`root/train/class/*` and `root/test/class/*` (or `val`); lists the class folders, reads no image.

    Without such splits, `root/class/*` is held out as a whole and the training split is refused: a score on the images
    that a network was trained on says nothing. Of `test` and `val`, `test` is taken if both are there. Raises
    `UsageError` if there are fewer than two classes, if the splits differ in their classes, or if a name cannot be
    printed.
    """
    root, size = place.root, place.image_size or USUAL_IMAGE_SIZE
    if not root.is_dir():
        raise UsageError(f"no folder {root}: --data-root names the folder of images")
    held_out = next((root / name for name in HELD_OUT if (root / name).is_dir()), None)
    training = root / TRAINING if (root / TRAINING).is_dir() else None
    if training and held_out is None:
        raise UsageError(f"{root} has {TRAINING}/ but neither test/ nor val/: images to evaluate on are needed")
    names = _class_names(held_out or root)
    if training and names != _class_names(training):
        different = sorted(set(names) ^ set(_class_names(training)))
        raise UsageError(
            f"{training} and {held_out} differ in the class {different[0]!r}: both need a folder for each class"
        )
    return DataSource(
        name="image-folder",
        task="classification",
        class_names=names,
        image_shape=(3, size, size),
        training=lambda: _read_training(root, training, names, size),
        held_out=cache(lambda: read_classes(held_out or root, names, size)),
        image_size=size,
    )


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(path.name for path in members(folder, Path.is_dir))
    try:
        for name in names:
            require_name(name)
    except ValueError as error:
        raise UsageError(f"a class folder in {folder} cannot be used: {error}; rename it") from error
    if len(names) < 2:
        raise UsageError(f"{folder} holds {len(names)} class folders: at least two are needed, FOLDER/CLASS/*.png")
    return names


def _read_training(root: Path, training: Path | None, names: tuple[str, ...], size: int) -> LabelledImages:
    if training is None:
        raise UsageError(
            f"{root} has no {TRAINING}/ to train on: sort the images into {TRAINING}/CLASS/ and test/CLASS/"
        )
    return read_classes(training, names, size)


def read_classes(folder: Path, names: tuple[str, ...], size: int) -> LabelledImages:
    """All images of `folder/class/*` as uint8 `[n, 3, size, size]`, classes in order, files in order of their names.

    Raises `UsageError` if a class has no image, if a file cannot be read, or if all would fill the memory.
    """
    files = [_class_files(folder / name) for name in names]
    counts = torch.tensor([len(members) for members in files])
    require_memory(folder, int(counts.sum()) * 3 * size * size)
    images = torch.empty(int(counts.sum()), 3, size, size, dtype=torch.uint8)
    ordered = [file for members in files for file in members]
    for index, pixels in enumerate(read_all(lambda file: read_image(file, size), ordered)):
        images[index] = pixels
    return LabelledImages(images, torch.arange(len(names)).repeat_interleave(counts))


def _class_files(folder: Path) -> list[Path]:
    files = image_files(folder)
    if not files:
        raise UsageError(f"the class folder {folder} holds no .png, .jpg or .jpeg file: fill or remove it")
    return files


def read_image(file: Path, size: int) -> Tensor:
    """One image as uint8 RGB `[3, size, size]`: its central square, brought to that size bilinearly.

    Raises `UsageError` that names the file if it cannot be read: see `image_files.opened`.
    """
    with opened(file) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        pixels: Tensor = pil_to_tensor(as_rgb(image).resize((size, size), Image.Resampling.BILINEAR, box))
    return pixels
