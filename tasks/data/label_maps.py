"""Pairs of an image and a label map, found by their names and read at one scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from compress.errors import UsageError
from compress.framing import orientation, scaled, upright_size
from compress.task import IGNORE_INDEX

from .image_files import as_rgb, image_files, opened, read_all, require_memory
from .source import DataSource, LabelledImages, Place

UNDECLARED = 254
"""Marks a pixel value that is no class."""

Decode = Callable[[Image.Image], NDArray[np.uint8]]
"""The class of every pixel `[h, w]` of a label image, 255 where none counts; `ValueError` for what is no class."""


@dataclass(frozen=True)
class Pair:
    """An image and its label map."""

    image: Path
    labels: Path


@dataclass(frozen=True)
class Pairs:
    """The pairs of two folders, read with a shorter side of `side` pixels, or in their own sizes without one."""

    pairs: tuple[Pair, ...]
    side: int | None

    @classmethod
    def find(cls, images: Path, labels: Path, side: int | None) -> Pairs:
        """The files of two folders that have the same name, but for the ending, in order.

        Raises `UsageError` if a folder is missing or empty, or if a file of one has no partner in the other.
        """
        for folder in (images, labels):
            if not folder.is_dir():
                raise UsageError(f"no folder {folder}: every folder of images needs one of label maps beside it")
        found, wanted = ({file.stem: file for file in image_files(folder)} for folder in (images, labels))
        for here, there, place in ((found, wanted, labels), (wanted, found, images)):
            alone = next((file for stem, file in here.items() if stem not in there), None)
            if alone is not None:
                raise UsageError(f"{alone} has no partner in {place}: add {place / alone.stem}.png or remove it")
        if not found:
            raise UsageError(f"{images} holds no .png, .jpg or .jpeg file: fill it")
        return cls(tuple(Pair(found[stem], wanted[stem]) for stem in sorted(found)), side)

    @cached_property
    def sizes(self) -> Tensor:
        """Height and width `[n, 2]` that each pair is read at, by the headers of the files.

        Raises `UsageError` if an image and its label map differ in size.
        """
        return torch.tensor([scaled(size, self.side) for size in read_all(_own_size, self.pairs)])

    def read(self, decode: Decode) -> LabelledImages:
        """All pairs, images scaled bilinearly and label maps by the nearest pixel.

        Raises `UsageError` that names the file if one cannot be read, or if a label map holds what is no class.
        """
        height, width = self.sizes.amax(dim=0).tolist()
        require_memory(self.pairs[0].image.parent, len(self.pairs) * height * width * 4)
        images = torch.zeros(len(self.pairs), 3, height, width, dtype=torch.uint8)
        targets = torch.full((len(self.pairs), height, width), IGNORE_INDEX, dtype=torch.uint8)
        wanted = list(zip(self.pairs, self.sizes.tolist(), strict=True))
        for index, (pixels, classes) in enumerate(read_all(lambda item: _read(item[0], decode, item[1]), wanted)):
            images[index, :, : pixels.shape[1], : pixels.shape[2]] = pixels
            targets[index, : classes.shape[0], : classes.shape[1]] = classes
        sizes = self.sizes if (self.sizes != self.sizes[0]).any() else None
        return LabelledImages(images, targets, sizes=sizes, notes=self._notes())

    def _notes(self) -> tuple[str, ...]:
        undecided = sum(read_all(_is_undecided, self.pairs))
        if not undecided:
            return ()
        return (
            f"{undecided} photographs are turned by their EXIF orientation, and their label maps have the size of both "
            "ways: taken for maps of the turned photograph",
        )


def _own_size(pair: Pair) -> tuple[int, int]:
    with opened(pair.image) as image, opened(pair.labels) as labels:
        size = labels.height, labels.width
        if size not in (upright_size(image), (image.height, image.width)):
            sizes = ["x".join(map(str, picture.size)) for picture in (image, labels)]
            raise UsageError(f"{pair.image} has {sizes[0]} pixels and {pair.labels} {sizes[1]}: they must be the same")
        return size


def _is_undecided(pair: Pair) -> bool:
    """Whether a label map has the size of the photograph both as it is stored and as its EXIF orientation turns it."""
    with opened(pair.image) as image:
        return orientation(image) != 1 and upright_size(image) == (image.height, image.width)


def _read(pair: Pair, decode: Decode, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    with opened(pair.labels) as labels:
        classes = Image.fromarray(decode(labels))
    with opened(pair.image) as image:  # turned as a camera says, unless its label map was painted on it unturned
        colours = as_rgb(image, turned=upright_size(image) == (classes.height, classes.width))
    return resized(colours, classes, size)


def resized(image: Image.Image, classes: Image.Image, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """An image as uint8 `[3, h, w]`, scaled bilinearly, and its label map `[h, w]`, scaled by the nearest pixel."""
    across = size[::-1]
    pixels = pil_to_tensor(image.resize(across, Image.Resampling.BILINEAR))
    return pixels, pil_to_tensor(classes.resize(across, Image.Resampling.NEAREST))[0]


def indices(table: NDArray[np.uint8]) -> Decode:
    """Decodes label images whose pixel values `[256]` name classes by `table`; 254 in it marks what is no class."""

    def decode(labels: Image.Image) -> NDArray[np.uint8]:
        if labels.mode not in {"L", "P"}:
            raise ValueError(f"it is no map of indices but a picture of mode {labels.mode}")
        classes: NDArray[np.uint8] = table[np.array(labels)]
        if (classes == UNDECLARED).any():
            value = int(np.array(labels)[classes == UNDECLARED][0])
            raise ValueError(f"it holds the value {value}, which is no class")
        return classes

    return decode


def index_table(classes: Sequence[int], void: Sequence[int]) -> NDArray[np.uint8]:
    """For `indices`: value `classes[i]` is class i, `void` values are not counted, others are no classes."""
    table = np.full(256, UNDECLARED, np.uint8)
    table[list(void)] = IGNORE_INDEX
    table[list(classes)] = np.arange(len(classes))
    return table


def paired_source(
    name: str,
    class_names: tuple[str, ...],
    place: Place,
    sizes: Tensor,
    training: Callable[[], LabelledImages],
    held_out: Callable[[], LabelledImages],
    palette: tuple[tuple[int, int, int], ...] = (),
) -> DataSource:
    """A data set of pairs whose held-out images have `sizes [n, 2]`.

    Networks are trained on squares of `place.crop_size`; without one on whole images, or if these differ on the largest
    square that fits in all.
    """
    shorter, crop = sizes.amin(dim=1), place.crop_size
    if crop is None and (sizes != sizes[0]).any():
        crop = int(shorter.min())
    height, width = (crop, crop) if crop else sizes[0].tolist()
    return DataSource(
        name=name,
        task="segmentation",
        class_names=class_names,
        image_shape=(3, height, width),
        training=training,
        held_out=cache(held_out),
        palette=palette,
        image_size=int(shorter[0]) if (shorter == shorter[0]).all() else None,
        crop_size=crop,
    )
