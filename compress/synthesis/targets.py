"""The targets of an inversion: drawn by the task, or predicted by the teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.replay.buffer import ReplayBuffer
from compress.task import Task
from compress.training.compute import Compute
from compress.training.random_numbers import RandomNumbers

DrawTargets = Callable[[int, torch.Generator], Tensor | None]
"""From (n, generator) to long `[n, *s]` on the CPU, or None if the teacher's own prediction is the target."""


def even_share(classes: int) -> Tensor:
    """`[k]`: the uniform class distribution."""
    return torch.full((classes,), 1 / classes)


def answers(n: int, randomness: torch.Generator) -> None:
    """Draw no targets: the target of an image is the teacher's own prediction for it (DAFL)."""


@dataclass(frozen=True)
class Drawn:
    """Targets drawn by the task for the class shares of the buffer."""

    task: Task
    buffer: ReplayBuffer

    def __call__(self, n: int, randomness: torch.Generator) -> Tensor:
        """Targets `[n, *s]`."""
        share = self.buffer.class_share.cpu() if len(self.buffer) else even_share(self.task.spec.num_classes)
        return self.task.draw_targets(n, share, randomness)


@dataclass(frozen=True, kw_only=True)
class Layouts:
    """The teacher's predictions on samples of the buffer as targets; while it is empty, targets drawn by the task."""

    drawn: Drawn
    teacher: nn.Module
    compute: Compute

    @torch.no_grad()
    def __call__(self, n: int, randomness: torch.Generator) -> Tensor:
        """Label maps `[n, h, w]`."""
        if not len(self.drawn.buffer):
            return self.drawn(n, randomness)
        numbers = RandomNumbers.of(randomness, self.compute.device, n)
        images = self.compute.images(self.drawn.buffer.draw(n, numbers).images)
        with self.compute.autocast():
            predictions: Tensor = self.teacher(images).argmax(dim=1)
        return predictions.cpu()
