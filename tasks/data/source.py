"""What a data set is to the toolkit: facts that cost little, and two splits that are opened only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from compress.task import Batch


@dataclass(frozen=True)
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
    """Of the files it was read from, where the data set publishes sums."""

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, size: int) -> Iterator[Batch]:
        """All of it in order, as float images in [0, 1] and long targets."""
        for images, targets in zip(torch.split(self.images, size), torch.split(self.targets, size), strict=True):
            yield Batch(images.float().div(255), targets.long())


@dataclass(frozen=True)
class DataSource:
    """A data set for one task. Opening one split never reads the other."""

    name: str
    task: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    training: Callable[[], LabelledImages]
    held_out: Callable[[], LabelledImages]
    fingerprint: str | None = None
    """Changes whenever the training split does: part of the key of a teacher that is taught unasked and cached.

    None for the user's own data, whose training split is opened for `compress teach` only.
    """
    mirror: bool = True
    """Whether a mirror image keeps its label: not so for characters."""
    background: int | None = None
    """The class that fills what no object covers, if there is one."""
    palette: tuple[tuple[int, int, int], ...] = ()
    """One RGB colour a class, for pictures; chosen by the task if empty."""


@dataclass(frozen=True)
class Place:
    """Where a data set lies, and the side in pixels to bring its images to if they come in all sizes."""

    root: Path
    image_size: int


@dataclass(frozen=True)
class Listing:
    """A data set by name: what can be said of it before anybody has said where it lies, and how to open it."""

    name: str
    task: str
    description: str
    open: Callable[[Place], DataSource]
    """Finds the data and its classes, reads no image; raises `UsageError` if they are not there."""
    on_disk: bool = True
    """Whether it needs a `--data-root`; the embedded sets take none."""
    resizes: bool = False
    """Whether it takes an `--image-size`."""
