"""Segmentation: one label per pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from compress.task import Batch, TaskSpec

from .data import DataSource
from .metrics import ConfusionMatrix
from .named_task import spec_of
from .natural_colours import class_colours
from .pictures import roles, rows_of_maps
from .targets import LABEL_MAPS

BATCH_PIXELS = 500_000
"""Number of held-out images, which may be large, that are scored at once."""


def palette_of(source: DataSource) -> tuple[tuple[int, int, int], ...]:
    """The data's own colours, or natural ones that are easily told apart."""
    return source.palette or class_colours(source.class_names, source.background)


def coloured_spec_of(source: DataSource) -> TaskSpec:
    """The facts about the segmentation of some data, with a colour for each class."""
    return replace(spec_of(source), palette=palette_of(source))


class Segmentation:
    """The task of segmentation: what the engine needs."""

    def __init__(self, source: DataSource, targets: str) -> None:
        self._source, self._draw, self.spec = source, LABEL_MAPS[targets], coloured_spec_of(source)

    def draw_targets(self, n: int, class_share: Tensor, generator: torch.Generator) -> Tensor:
        """Random label maps `[n, h, w]`, half with the teacher's class shares and half with uniform ones."""
        prior = (class_share + 1 / self.spec.num_classes) / 2
        return self._draw(n, self.spec.image_shape[1:], prior, generator, self._source.background)


class LabelledScenes:
    """Held-out images with a label map each."""

    def __init__(self, source: DataSource) -> None:
        self._source, self.spec = source, coloured_spec_of(source)

    def batches(self) -> Iterator[Batch]:
        """The validation split, whole images."""
        held_out = self._source.held_out()
        return held_out.batches(max(BATCH_PIXELS // held_out.images[0, 0].numel(), 1) if len(held_out) else 1)

    def metric(self) -> ConfusionMatrix:
        """mIoU, pixel accuracy and IoU by class over the whole set."""
        return ConfusionMatrix(self.spec.class_names, self.spec.ignore_index)

    def picture(self, batch: Batch, *answers: Tensor, target: str = "aimed at") -> Tensor:
        """Image, target map and the maps that models answer with side by side, under headings, over a legend."""
        images = batch.images.mul(255).round().to(torch.uint8).cpu()
        answered = zip(roles(len(answers)), answers, strict=True)
        maps = {target: batch.targets.cpu()} | {role: logits.argmax(dim=1).cpu() for role, logits in answered}
        return rows_of_maps(images, maps, self.spec.class_names, self.spec.palette)
