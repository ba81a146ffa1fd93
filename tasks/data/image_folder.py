"""Any folder of images with one sub-folder per class, with or without splits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from compress.errors import UsageError
from compress.framing import CENTRAL_SQUARE, Framing
from compress.storage.untrusted import require_name

from .class_names import in_order, order_note
from .image_discovery import Listed, Tree, passed_over
from .image_files import KINDS, as_rgb, opened, read_all, require_memory
from .source import DataSource, LabelledImages, Place

TRAINING, HELD_OUT = ("train", "training"), ("test", "val", "valid", "validation")
USUAL_IMAGE_SIZE = 224
"""Default image size in pixels, that of most ImageNet networks."""


def open_image_folder(place: Place) -> DataSource:
    """`root/train/class/**` and `root/test/class/**` (or `val`); lists the class folders, reads no image.

    Without such splits, all of `root/class/**` is held out and the training split is refused, because a score on
    training images is meaningless. Of `test` and `val`, `test` is taken if both are there. Raises `UsageError` if there
    are fewer than two classes, if the splits differ in their classes, or if a name cannot be printed.
    """
    root, size = place.root, place.image_size or USUAL_IMAGE_SIZE
    if not root.is_dir():
        raise UsageError(f"no folder {root}: `data_root` names the folder of images")
    tree = Tree(root, place.follow_links)
    training, held_out = _split(root, TRAINING), _split(root, HELD_OUT)
    if training and held_out is None:
        raise UsageError(f"{root} has {training.name}/ but neither test/ nor val/: images to evaluate on are needed")
    listed = _class_names(tree, held_out or root)
    if training and set(listed) != set(_class_names(tree, training)):
        different = sorted(set(listed) ^ set(_class_names(tree, training)))
        raise UsageError(
            f"{training} and {held_out} differ in the class {different[0]!r}: both need a folder for each class"
        )
    names = in_order(listed, place.class_order)

    def read(split: Path) -> LabelledImages:
        return read_classes(tree, split, names, size, place.framing)

    def read_training() -> LabelledImages:
        if training is None:
            raise UsageError(f"{root} has no train/ to train on: sort the images into train/CLASS/ and test/CLASS/")
        return read(training)

    return DataSource(
        name="image-folder",
        task="classification",
        class_names=names,
        image_shape=(3, size, size),
        training=read_training,
        held_out=cache(lambda: read(held_out or root)),
        image_size=size,
        framing=place.framing,
        notes=order_note(listed, place.class_order),
    )


def _split(root: Path, names: Sequence[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _class_names(tree: Tree, folder: Path) -> tuple[str, ...]:
    names = tuple(path.name for path in tree.folders(folder))
    try:
        for name in names:
            require_name(name)
    except ValueError as error:
        raise UsageError(f"a class folder in {folder} cannot be used: {error}; rename it") from error
    if len(names) < 2:
        raise UsageError(f"{folder} holds {len(names)} class folders: at least two are needed, FOLDER/CLASS/*.png")
    return names


def read_classes(tree: Tree, folder: Path, names: Sequence[str], size: int, framing: Framing) -> LabelledImages:
    """All images of `folder/class/**` as uint8 `[n, 3, size, size]`, classes in order, files in order of their names.

    Raises `UsageError` if a class has no image, if a file cannot be read, or if all would fill the memory.
    """
    listings = [_class_files(tree, folder / name) for name in names]
    counts = torch.tensor([len(listed.files) for listed in listings])
    require_memory(folder, int(counts.sum()) * 3 * size * size)
    images = torch.empty(int(counts.sum()), 3, size, size, dtype=torch.uint8)
    ordered = [file for listed in listings for file in listed.files]
    for index, pixels in enumerate(read_all(lambda file: read_image(file, size, framing), ordered)):
        images[index] = pixels
    notes = tuple(note for note in [passed_over(listings)] if note)
    return LabelledImages(images, torch.arange(len(names)).repeat_interleave(counts), notes=notes)


def _class_files(tree: Tree, folder: Path) -> Listed:
    listed = tree.images(folder)
    if not listed.files:
        rest = f" ({passed_over([listed])})" if listed.others else ""
        raise UsageError(f"the class folder {folder} holds no {KINDS} file{rest}: fill or remove it")
    return listed


def read_image(file: Path, size: int, framing: Framing = CENTRAL_SQUARE) -> Tensor:
    """One image as uint8 RGB `[3, size, size]`, upright, cropped and resized as `framing` says.

    Raises `UsageError` that names the file if it cannot be read: see `image_files.opened`.
    """
    with opened(file) as image:
        pixels: Tensor = pil_to_tensor(framing.image(as_rgb(image), (size, size)))
    return pixels
