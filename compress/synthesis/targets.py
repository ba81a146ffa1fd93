"""What an inversion aims at: what the task makes up, or what the teacher itself sees."""

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
"""(how many, randomness) -> long `[n, *s]` on the CPU, or None where the teacher's own answer is the target."""


def even_share(classes: int) -> Tensor:
    """`[k]`: every class as common as every other."""
    return torch.full((classes,), 1 / classes)


def answers(n: int, randomness: torch.Generator) -> None:
    """Nothing is drawn: the teacher's answer to an image is what the image is held against (DAFL)."""


@dataclass(frozen=True)
class Drawn:
    """What the task draws when it is told how common the classes are in the buffer."""

    task: Task
    buffer: ReplayBuffer

    def __call__(self, n: int, randomness: torch.Generator) -> Tensor:
        """Targets `[n, *s]`."""
        share = self.buffer.class_share.cpu() if len(self.buffer) else even_share(self.task.spec.num_classes)
        return self.task.draw_targets(n, share, randomness)


@dataclass(frozen=True)
class Layouts:
    """What the teacher sees in earlier samples, drawn as for the student; what the task draws until there are any."""

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
            seen: Tensor = self.teacher(images).argmax(dim=1)
        return seen.cpu()
