"""Pairs of an image and a label map, matched by name and read at one scale."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from compress.errors import UsageError
from compress.framing import orientation, scaled, upright_size
from compress.task import IGNORE_INDEX

from .folder_layouts import Split
from .image_discovery import Tree
from .image_files import as_rgb, opened, read_all, require_memory
from .mask_pairing import Pair
from .masks import Decode, Reading, decoded, occurrence_notes, opened_mask
from .source import DataSource, LabelledImages, Place


@dataclass(frozen=True)
class Pairs:
    """The pairs of two folders, read with a shorter side of `side` pixels, or in their own sizes without one."""

    pairs: tuple[Pair, ...]
    side: int | None

    @classmethod
    def find(cls, images: Path, labels: Path, side: int | None) -> Pairs:
        """The pairs of two folders, by their names: see `mask_pairing`.

        Raises `UsageError` if a folder is missing or empty, or if a file of one has no partner in the other.
        """
        return cls(
            Split(
                name=None, images=images, masks=labels, tree=Tree(Path(os.path.commonpath([images, labels])))
            ).pairs(),
            side,
        )

    @cached_property
    def sizes(self) -> Tensor:
        """Height and width `[n, 2]` that each pair is read at, by the headers of the files.

        Raises `UsageError` if an image and its label map differ in size.
        """
        return torch.tensor([scaled(size, self.side) for size in read_all(_own_size, self.pairs)])

    def read(self, reading: Reading, class_names: Sequence[str]) -> LabelledImages:
        """All pairs, images scaled bilinearly and label maps by the nearest pixel.

        Raises `UsageError` that names the file if one cannot be read, or if a label map holds what is no class; also if
        the maps as a whole hold one class and 255, which then is likely to be a class.
        """
        height, width = self.sizes.amax(dim=0).tolist()
        require_memory(self.pairs[0].image.parent, len(self.pairs) * height * width * 4)
        images = torch.zeros(len(self.pairs), 3, height, width, dtype=torch.uint8)
        targets = torch.full((len(self.pairs), height, width), IGNORE_INDEX, dtype=torch.uint8)
        sized_pairs = list(zip(self.pairs, self.sizes.tolist(), strict=True))
        for index, (pixels, classes) in enumerate(
            read_all(lambda item: _read(item[0], reading.decode, item[1]), sized_pairs)
        ):
            images[index, :, : pixels.shape[1], : pixels.shape[2]] = pixels
            targets[index, : classes.shape[0], : classes.shape[1]] = classes
        sizes = self.sizes if (self.sizes != self.sizes[0]).any() else None
        return LabelledImages(images, targets, sizes=sizes, notes=self._notes(targets, reading, class_names))

    def _notes(self, targets: Tensor, reading: Reading, class_names: Sequence[str]) -> tuple[str, ...]:
        """What the labels as a whole are like; raises `UsageError` where 255 is likely to be a class."""
        counts = torch.bincount(targets.flatten(), minlength=IGNORE_INDEX + 1)
        void = 1 - int(counts[: len(class_names)].sum()) / int(self.sizes.prod(dim=1).sum())
        notes = occurrence_notes(counts[: len(class_names)].tolist(), void, class_names, reading, self.pairs[0].labels)
        undecided = sum(read_all(_is_undecided, self.pairs))
        if not undecided:
            return notes
        return (
            f"{undecided} photographs are turned by their EXIF orientation, and their label maps have the size of both "
            "ways: taken for maps of the turned photograph",
            *notes,
        )


def _own_size(pair: Pair) -> tuple[int, int]:
    with opened(pair.image) as image, opened_mask(pair.labels) as labels:
        size = labels.height, labels.width
        if size not in (upright_size(image), (image.height, image.width)):
            sizes = ["x".join(map(str, picture.size)) for picture in (image, labels)]
            raise UsageError(
                f"{pair.image} has {sizes[0]} pixels and {pair.labels} {sizes[1]}: they must have the same size"
            )
        return size


def _is_undecided(pair: Pair) -> bool:
    """Whether a label map has the size of the photograph both as it is stored and as its EXIF orientation turns it."""
    with opened(pair.image) as image:
        return orientation(image) != 1 and upright_size(image) == (image.height, image.width)


def _read(pair: Pair, decode: Decode, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    classes = Image.fromarray(decoded(pair.labels, decode))
    with opened(pair.image) as image:  # turned as a camera says, unless its label map was painted on it unturned
        colours = as_rgb(image, turned=upright_size(image) == (classes.height, classes.width))
    return resized(colours, classes, size)


def resized(image: Image.Image, classes: Image.Image, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """An image as uint8 `[3, h, w]`, scaled bilinearly, and its label map `[h, w]`, scaled by the nearest pixel."""
    across = size[::-1]
    pixels = pil_to_tensor(image.resize(across, Image.Resampling.BILINEAR))
    return pixels, pil_to_tensor(classes.resize(across, Image.Resampling.NEAREST))[0]


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
