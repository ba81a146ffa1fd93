"""Inversion without a generator: the pixels are optimised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from compress.synthesis.inversion_loss import InversionLoss, joined, mean_report
from compress.synthesis.inversion_steps import InversionSteps
from compress.synthesis.targets import Drawn
from compress.task import Samples
from compress.training.execution import Execution
from compress.training.optimizers import adam
from compress.training.random_numbers import RandomNumbers

BETAS = (0.5, 0.99)
GREY, SPREAD = 0.5, 0.25
"""Images are GREY + SPREAD·x. x has roughly the scale of normalised inputs, for which learning rates are published."""


@dataclass(frozen=True, kw_only=True)
class PixelPlan:
    """The settings of one round of synthesis."""

    samples: int
    steps: int
    lr: float


class PixelInversion:
    """Every round optimises pixels from random noise (DeepInversion, Yin et al., CVPR 2020)."""

    def __init__(self, *, drawn: Drawn, inversion_loss: InversionLoss, plan: PixelPlan, execution: Execution) -> None:
        self._drawn, self._inversion_loss, self._plan, self._execution = drawn, inversion_loss, plan, execution
        self.learning_rate_scale, self.micro_batches = 1.0, 1

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """One round: this worker's new samples and the terms of the best step."""
        plan, workers, device = self._plan, self._execution.workers, self._execution.device
        share = workers.share(plan.samples)
        targets = self._drawn(plan.samples, randomness)[share].to(device)
        noise = torch.randn(plan.samples, *self._drawn.task.spec.image_shape, generator=randomness)[share].to(device)
        ahead = plan.steps * plan.samples * self._inversion_loss.numbers_per_image()
        steps = InversionSteps(
            loss=self._inversion_loss,
            steps=plan.steps,
            index=index,
            workers=workers,
            numbers=RandomNumbers.of(randomness, device, ahead),
        )
        chunks = zip(noise.chunk(self.micro_batches), targets.chunk(self.micro_batches), strict=True)
        done = [self._descend(steps, *chunk) for chunk in chunks]
        return joined([samples for samples, _ in done]), mean_report([report for _, report in done])

    def _descend(self, steps: InversionSteps, noise: Tensor, targets: Tensor) -> tuple[Samples, dict[str, float]]:
        """Samples that begin with this noise."""
        pixels = _clamped(noise.contiguous(memory_format=torch.channels_last)).requires_grad_()
        shared = self._inversion_loss.parameters()
        optimizer = adam([pixels, *shared], self.learning_rate_scale * self._plan.lr, BETAS)
        guard = self._execution.guarded(optimizer, shared, [])
        return steps.run(lambda: GREY + SPREAD * pixels, targets, guard, lambda _: _clamp(pixels))

    def renew(self, randomness: torch.Generator) -> bool:
        """See `Inversion`: every round starts from noise, so there is nothing to restart."""
        return False

    def halve(self) -> bool:
        """See `Inversion`; a statistic of a batch needs two images."""
        if self._plan.samples < 4 * self.micro_batches:
            return False
        self.micro_batches *= 2
        return True

    def state_dict(self) -> dict[str, Any]:
        """All that is kept from round to round."""
        return {"inversion_loss": self._inversion_loss.state_dict(), "micro_batches": self.micro_batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._inversion_loss.load_state_dict(state["inversion_loss"])
        self.micro_batches = state["micro_batches"]


def _clamped(pixels: Tensor) -> Tensor:
    """Clamp in place to the range in which images are in [0, 1]."""
    return pixels.clamp_(-GREY / SPREAD, (1 - GREY) / SPREAD)


def _clamp(pixels: Tensor) -> None:
    _clamped(pixels.data)
