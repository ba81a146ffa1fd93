"""A few steps down the inversion loss, and what of them is kept: the images of the best one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import backward

from compress.errors import Diverged
from compress.synthesis.inversion_loss import BatchLoss, InversionLoss, as_samples
from compress.task import Samples, Statistics
from compress.training.finite_steps import FiniteSteps
from compress.training.parallel import Workers
from compress.training.random_numbers import RandomNumbers


@dataclass(frozen=True, kw_only=True)
class InversionSteps:
    """Steps of what makes images, on the inversion loss of a round."""

    loss: InversionLoss
    steps: int
    index: int
    """The round's."""
    workers: Workers
    numbers: RandomNumbers

    def run(
        self,
        images_now: Callable[[], Tensor],
        targets: Tensor | None,
        guard: FiniteSteps,
        after_step: Callable[[Tensor], None],
    ) -> tuple[Samples, dict[str, float]]:
        """The images `[n, 3, h, w]` in [0, 1] of the best step as samples, and its terms.

        `after_step` hears whether each step was taken, `[]` on the device. Raises `Diverged` if none had a finite loss.
        """
        best = BestStep()
        with self.loss as loss:
            for _ in range(self.steps):
                guard.begin()
                images = images_now()
                batch_loss = loss.judge(images, targets, self.index, self.numbers)
                backward(batch_loss.total)
                total = self.workers.mean(batch_loss.total)
                step_taken = guard.end(total)
                best.offer(images, batch_loss, total, step_taken)
                after_step(step_taken)
            outcome = guard.read(*best.numbers)
            if outcome.last_taken:
                loss.end_round()
        lowest, *terms = outcome.numbers
        if lowest == float("inf"):
            raise Diverged("the inversion diverged, no step had a finite loss")
        return best.samples(), {**dict(zip(best.names, terms, strict=True)), "skipped": float(outcome.skipped)}


class BestStep:
    """The images of the step with the lowest total loss so far, over all workers; decided on the device."""

    def __init__(self) -> None:
        self.names: list[str] = []
        """Of the terms."""
        self._kept: list[Tensor] = []
        """Total, images, targets, confidence and histogram, and the terms."""

    def offer(self, images: Tensor, batch_loss: BatchLoss, total: Tensor, step_taken: Tensor) -> None:
        """Keep them if the step was taken and they are better than all before; `total` is that of all workers."""
        statistics, lowest = batch_loss.statistics, torch.where(step_taken, total, float("inf"))
        self.names = list(batch_loss.terms)
        offered = [lowest, images.detach(), batch_loss.targets, statistics.confidence, statistics.histogram]
        offered += batch_loss.terms.values()
        if self._kept:
            better = lowest < self._kept[0]
            pairs = zip(offered, self._kept, strict=True)
            offered = [torch.where(better, new, old) for new, old in pairs]
        self._kept = offered

    @property
    def numbers(self) -> list[Tensor]:
        """The lowest total, infinite if there was none, and its terms, `[]` each."""
        return [self._kept[0], *self._kept[5:]]

    def samples(self) -> Samples:
        """The best images."""
        _, images, targets, confidence, histogram = self._kept[:5]
        return as_samples(images, targets, Statistics(confidence, histogram))
