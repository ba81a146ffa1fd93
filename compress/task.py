"""The contract between the engine and a task: the task protocol and the records that both use.

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
"""Value in label maps that losses and metrics ignore."""

NOTHING_IGNORED = -1
"""The ignore index if no label is ignored: 255 is a class of ImageNet."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of natural images in [0, 1], by channel: the default normalisation."""


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """The facts about a task that do not depend on models."""

    name: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    metric: str
    """Name of the headline number in `Metric.compute()`, a fraction."""
    ignore_index: int = IGNORE_INDEX
    """Target value that losses and metrics ignore."""
    palette: tuple[tuple[int, int, int], ...] = ()
    """One RGB colour per class, for pictures; empty for tasks without coloured classes."""
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
    """The teacher's statistics of samples, detached and in float32: the inputs of replay policies."""

    confidence: Tensor
    """`[n]`: mean over positions of the teacher's largest class probability."""
    histogram: Tensor
    """`[n, k]`: the share of positions that the teacher predicts as each class; rows sum to 1."""

    def __len__(self) -> int:
        return len(self.confidence)


@dataclass(frozen=True)
class Samples:
    """Synthetic images uint8 `[n, 3, h, w]`, their targets `[n, *s]`, and their statistics."""

    images: Tensor
    targets: Tensor
    statistics: Statistics


@runtime_checkable
class Normalised(Protocol):
    """A model that exposes its normalisation, the only data statistics of a network without batch normalisation."""

    def normalised(self, images: Tensor) -> Tensor:
        """Images `[n, 3, h, w]` in [0, 1], normalised so that the training data has mean 0 and variance 1."""


class Deployable(nn.Module):
    """A network as it is exported: images `[n, 3, h, w]` in [0, 1] of any size in, logits `[n, k, *s]` out."""

    stride: int
    """The network needs multiples of this as height and width; other images are padded."""


class Metric(Protocol):
    """Counts over a whole data set, then arithmetic on the counts."""

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Count one batch of logits `[n, k, *s]` against targets `[n, *s]`."""

    def compute(self) -> Mapping[str, float | Mapping[str, float]]:
        """The numbers by name, fractions; a nested mapping holds one number per class."""


@runtime_checkable
class Tabulated(Protocol):
    """A metric that keeps its counts by class."""

    counts: Tensor
    """Long `[k, k]`: true class by predicted class."""

    def chance(self) -> Mapping[str, float]:
        """The highest scores of predictions that ignore the images, from these counts, by the number's name."""


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
