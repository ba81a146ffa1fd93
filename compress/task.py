"""The contract between the engine and a task: what a task is, and the records that travel between the two.

Logits are `[n, k, *s]`: `k` classes and no position axes for classification, `[n, k, h, w]` for segmentation.
Images are `[n, 3, h, w]`, RGB, in [0, 1]; normalisation is the first layer of every model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from compress.framing import CENTRAL_SQUARE, Framing

IGNORE_INDEX = 255
"""Value in label maps that no loss and no metric counts."""

NOTHING_IGNORED = -1
"""The ignore index where every label counts: 255 is a class of ImageNet."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of natural images in [0, 1], by channel: what networks are normalised with unless they say otherwise."""


@dataclass(frozen=True)
class TaskSpec:
    """What is fixed about a task before any model exists."""

    name: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    metric: str
    """Name of the headline number in `Metric.compute()`, a fraction."""
    ignore_index: int = IGNORE_INDEX
    """Target value that no loss and no metric counts."""
    palette: tuple[tuple[int, int, int], ...] = ()
    """One RGB colour a class, for pictures; empty where classes are not painted."""
    image_size: int | None = None
    """The shorter side of held-out images, pixels; None if these differ."""
    framing: Framing = CENTRAL_SQUARE
    """How a classifier's photographs are cropped and resized."""

    @property
    def num_classes(self) -> int:
        """Size of the class axis `k`."""
        return len(self.class_names)


@dataclass(frozen=True)
class Batch:
    """Labelled images: float `[n, 3, h, w]` in [0, 1] and long targets `[n, *s]`."""

    images: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Statistics:
    """What the teacher thinks of samples: all that replay policies may look at, detached and in float32."""

    confidence: Tensor
    """`[n]`: mean over positions of the teacher's largest class probability."""
    histogram: Tensor
    """`[n, k]`: the share of positions that the teacher gives to each class; rows sum to 1."""

    def __len__(self) -> int:
        return len(self.confidence)


@dataclass(frozen=True)
class Samples:
    """Synthetic images uint8 `[n, 3, h, w]`, the targets `[n, *s]` they were made for, and their statistics."""

    images: Tensor
    targets: Tensor
    statistics: Statistics


@runtime_checkable
class Normalised(Protocol):
    """A model that tells how it normalises: all that a network without batch normalisation knows of its data."""

    def normalised(self, images: Tensor) -> Tensor:
        """Images `[n, 3, h, w]` in [0, 1], moved and scaled so that the training data had mean 0 and variance 1."""


class Deployable(nn.Module):
    """A network as it is exported: images `[n, 3, h, w]` in [0, 1] of any size in, logits `[n, k, *s]` out."""

    stride: int
    """What the network inside wants height and width to be multiples of; images of other sizes are padded to it."""


class Metric(Protocol):
    """Counts over a whole data set, then arithmetic on the counts."""

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Count one batch of logits `[n, k, *s]` against targets `[n, *s]`."""

    def compute(self) -> Mapping[str, float | Mapping[str, float]]:
        """The numbers by name, fractions; a nested mapping holds one number a class."""


@runtime_checkable
class Tabulated(Protocol):
    """A metric that keeps its counts by class."""

    counts: Tensor
    """Long `[k, k]`: true class by predicted class."""

    def chance(self) -> Mapping[str, float]:
        """What answers that ignore the images may score at most, by these counts: by name, for each headline number."""


@runtime_checkable
class Task(Protocol):
    """What the engine needs to know of classification, segmentation or your own task."""

    spec: TaskSpec

    def draw_targets(self, n: int, class_share: Tensor, generator: torch.Generator) -> Tensor:
        """What the inversion aims at: long `[n, *s]`, made up, never taken from data.

        `class_share [k]` is the share of each class in the teacher's answers to the samples in the buffer, uniform
        while the buffer is empty: all that is known of how common the classes are.
        """


@runtime_checkable
class HeldOut(Protocol):
    """What networks are scored on, and how answers are shown; the engine never sees it."""

    spec: TaskSpec

    def batches(self) -> Iterator[Batch]:
        """Labelled data for evaluation only; nothing where there is none."""

    def metric(self) -> Metric:
        """A new, empty metric."""

    def picture(self, batch: Batch, *answers: Tensor, target: str = "aimed at") -> Tensor:
        """The batch as one uint8 RGB picture `[3, H, W]`: its targets beside what models see, logits `[n, k, *s]`.

        `target` is what the targets are called: made-up ones are what images aim at, real ones are labels.
        """
