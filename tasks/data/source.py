"""A data set: its facts, and two splits that are read on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from compress.framing import CENTRAL_SQUARE, Framing
from compress.settings import LabelSettings
from compress.task import Batch


@dataclass(frozen=True, kw_only=True)
class FileSum:
    """The md5 sum of a file that was read, and whether it is the published one."""

    file: str
    md5: str
    official: bool


@dataclass(frozen=True)
class LabelledImages:
    """A split in memory: uint8 images `[n, 3, h, w]` and integer targets `[n, *s]`."""

    images: Tensor
    targets: Tensor
    sums: tuple[FileSum, ...] = ()
    """The md5 sums of its files, if the data set publishes sums."""
    sizes: Tensor | None = None
    """`[n, 2]`: height and width of each image where they differ; what lies beyond is 0 and not counted."""
    notes: tuple[str, ...] = ()
    """Skipped files and decisions made in reading it, one line each, for the user."""

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, size: int) -> Iterator[Batch]:
        """All of it as float images in [0, 1] and long targets: in order, or one image size after the other."""
        if self.sizes is None:
            for images, targets in zip(torch.split(self.images, size), torch.split(self.targets, size), strict=True):
                yield Batch(images.float().div(255), targets.long())
            return
        for height, width in sorted({(int(height), int(width)) for height, width in self.sizes}):
            members = (self.sizes == torch.tensor([height, width])).all(dim=1).nonzero().flatten()
            for index in torch.split(members, size):
                images, targets = self.images[index, :, :height, :width], self.targets[index, :height, :width]
                yield Batch(images.float().div(255), targets.long())


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """A data set for one task. Opening one split never reads the other."""

    name: str
    task: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    training: Callable[[], LabelledImages]
    held_out: Callable[[], LabelledImages]
    fingerprint: str | None = None
    """A digest of the training split, part of the key of a cached default teacher.

    None for the user's own data, whose training split is opened for `compress teach` only.
    """
    mirror: bool = True
    """Whether a mirror image keeps its label; false for characters."""
    background: int | None = None
    """The background class, if there is one."""
    palette: tuple[tuple[int, int, int], ...] = ()
    """One RGB colour a class, for pictures; chosen by the task if empty."""
    image_size: int | None = None
    """The shorter side of its images, pixels; None if these differ."""
    crop_size: int | None = None
    """Crop size in pixels for training; None for whole images."""
    threshold: float | None = None
    """The probability from which a pixel is the second of two classes, for networks that answer with one logit; None
    for those that answer with a logit for every class."""
    framing: Framing = CENTRAL_SQUARE
    """How photographs of a classifier are cropped and resized."""
    present: tuple[int, ...] | None = None
    """The classes that its held-out images have, where these are not all of `class_names`."""
    notes: tuple[str, ...] = ()
    """Decisions made in opening it, one line each, for the user."""


ClassOrder = Literal["text", "natural"]


USUAL_LABELS = LabelSettings()


@dataclass(frozen=True)
class Place:
    """Where a data set is, and the sizes of its images in pixels."""

    root: Path = Path()
    image_size: int | None = None
    """The shorter side; None leaves it to the data set."""
    crop_size: int | None = None
    """Crop size in pixels for training; None for whole images."""
    framing: Framing = CENTRAL_SQUARE
    """How photographs of a classifier are cropped and resized."""
    class_order: ClassOrder | None = None
    """Of class folders: `text` as torchvision sorts them, `natural` as timm does (2 before 10, without case).

    None takes `text` and notes where the two differ."""
    follow_links: bool = False
    """Whether links out of the folder are followed."""
    labels: LabelSettings = USUAL_LABELS
    """Where images and masks are and how masks are read, for data with label maps."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A data set by name: what is known before its folder is given, and the function that opens it."""

    name: str
    task: str
    description: str
    open: Callable[[Place], DataSource]
    """Finds the data and its classes without reading an image; raises `UsageError` if they are missing."""
    on_disk: bool = True
    """Whether it needs a `--data-root`; the embedded sets take none."""
    resizes: bool = False
    """Whether it takes an `--image-size`."""
    crops: bool = False
    """Whether it takes a `--crop-size`."""
    label_settings: frozenset[str] = frozenset()
    """Which of `LabelSettings` it takes."""
