"""What a data set is to the toolkit: facts that cost nothing, and two splits that are opened only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from compress.task import Batch


@dataclass(frozen=True)
class LabelledImages:
    """A split in memory: uint8 images `[n, 3, h, w]` and integer targets `[n, *s]`."""

    images: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, size: int) -> Iterator[Batch]:
        """All of it in order, as float images in [0, 1] and long targets."""
        for images, targets in zip(torch.split(self.images, size), torch.split(self.targets, size), strict=True):
            yield Batch(images.float().div(255), targets.long())


@dataclass(frozen=True)
class DataSource:
    """A named data set for one task."""

    name: str
    task: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    fingerprint: str
    """Changes whenever the training split does; part of the key of a cached teacher."""
    training: Callable[[], LabelledImages]
    held_out: Callable[[], LabelledImages]
    mirror: bool = True
    """Whether a mirror image keeps its label: not so for characters."""
    background: int | None = None
    """The class that fills what no object covers, if there is one."""
    description: str = ""
