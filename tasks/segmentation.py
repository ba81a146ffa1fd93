"""Segmentation: one label a pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from compress.task import Batch, TaskSpec

from .data import DataSource
from .metrics import ConfusionMatrix
from .palette import distinct_colours
from .pictures import roles, rows_of_maps
from .targets import LABEL_MAPS

BATCH_PIXELS = 500_000
"""Of the held-out images that are scored at once, which may be large."""


def palette_of(source: DataSource) -> tuple[tuple[int, int, int], ...]:
    """The data's own colours, or some that are easily told apart."""
    return source.palette or distinct_colours(len(source.class_names), source.background)


class Segmentation:
    """The task adapter of segmentation."""

    def __init__(
        self, source: DataSource, teacher: Callable[[], nn.Module], student: Callable[[], nn.Module], targets: str
    ) -> None:
        self.source, self._teacher, self._student, self._draw = source, teacher, student, LABEL_MAPS[targets]
        self.spec = TaskSpec(
            name="segmentation",
            image_shape=source.image_shape,
            class_names=source.class_names,
            metric="miou",
            palette=palette_of(source),
            image_size=source.image_size,
        )

    def teacher(self) -> nn.Module:
        """The trained network, frozen and in evaluation mode."""
        return self._teacher().eval().requires_grad_(requires_grad=False)

    def student(self) -> nn.Module:
        """A new, untrained network."""
        return self._student()

    def draw_targets(self, n: int, class_share: Tensor, generator: torch.Generator) -> Tensor:
        """Random label maps `[n, h, w]`, half after the teacher's answers and half after no class in particular."""
        prior = (class_share + 1 / self.spec.num_classes) / 2
        return self._draw(n, self.spec.image_shape[1:], prior, generator, self.source.background)

    def held_out(self) -> Iterator[Batch]:
        """The validation split, whole images."""
        held_out = self.source.held_out()
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
