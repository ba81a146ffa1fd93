"""The agreement of student and teacher, for runs without held-out data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from compress.distillation.distiller import Distiller
from compress.gan.collected import CollectedImages
from compress.methods import MethodContext
from compress.task import Batch, HeldOut
from compress.tasks.metrics import pairs
from compress.training.compute import Compute

BATCH = 50
AGREEMENT = "agreement"
FRESH = 128
"""Synthetic samples at least, made in whole rounds."""
NO_ACCURACY = "against the teacher's answers: there is no held-out data, so this is no accuracy"


def comparison_samples(context: MethodContext, distiller: Distiller) -> tuple[Tensor, str]:
    """Images uint8 `[n, 3, h, w]` to compare student and teacher on, and what they are, in words."""
    collected = context.collected
    if collected is not None and collected.unseen is not None:
        return collected.unseen, "collected photographs that the student has not learnt from"
    if isinstance(distiller.inversion, CollectedImages):
        samples, _ = distiller.inversion.round(0, context.randomness)
        return samples.images, "photographs that the student has learnt from"
    batches: list[Tensor] = []
    while sum(map(len, batches)) < FRESH:
        samples, _ = distiller.inversion.round(distiller.plan.rounds - 1, context.randomness)
        batches.append(samples.images)
    return torch.cat(batches), "new synthetic samples"


class Agreement:
    """Share of positions with the teacher's class. It is not an accuracy, because the teacher may be wrong."""

    def __init__(self) -> None:
        self._count = 0
        self.counts = torch.zeros(0, 0, dtype=torch.long)
        """`[k, k]`: the teacher's class by the student's."""

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Count logits `[n, k, *s]` against the teacher's classes `[n, *s]`."""
        counted = pairs(targets.flatten().cpu(), logits.argmax(dim=1).flatten().cpu(), logits.shape[1])
        self.counts = counted if not self._count else self.counts + counted
        self._count += targets.numel()

    def compute(self) -> Mapping[str, float]:
        """`agreement`, a fraction; 0 before anything was counted."""
        return {AGREEMENT: int(self.counts.diag().sum()) / max(self._count, 1)}

    def chance(self) -> Mapping[str, float]:
        """What the teacher's commonest class gets as the answer to everything; 0 where the teacher names no other."""
        answers = self.counts.sum(dim=1)
        commonest = int(answers.max()) if self._count else 0
        return {AGREEMENT: commonest / max(self._count, 1) if commonest < self._count else 0.0}


class TeacherLabels:
    """Synthetic samples, labelled by the teacher, in the place of held-out data."""

    def __init__(
        self, held_out: HeldOut, teacher: nn.Module, samples: Tensor, compute: Compute, what: str = "samples"
    ) -> None:
        """`samples` are uint8 `[n, 3, h, w]` and should be new to the student; `teacher` is on the device; `what` says
        what they are."""
        self.what = what
        self.picture, self.spec = held_out.picture, replace(held_out.spec, metric=AGREEMENT)
        self._batches = [_answered(pixels, teacher, compute) for pixels in torch.split(samples, BATCH)]

    def batches(self) -> Iterator[Batch]:
        """The samples with the teacher's classes."""
        yield from self._batches

    def metric(self) -> Agreement:
        """A new, empty metric."""
        return Agreement()


@torch.no_grad()
def _answered(pixels: Tensor, teacher: nn.Module, compute: Compute) -> Batch:
    images = compute.images(pixels)
    return Batch(images.cpu(), teacher(images).argmax(dim=1).cpu())
