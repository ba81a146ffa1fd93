"""Inversion without a generator: the pixels themselves are optimised."""

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
MOST_AHEAD = 1 << 22  # random numbers that are copied to a GPU at once: 32 MiB
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
        self._pixels: Pixels | None = None

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """One round: this worker's new samples and the terms of the best step."""
        plan, device = self._plan, self._execution.device
        share = self._execution.workers.share(plan.samples)
        targets = self._drawn(plan.samples, randomness)[share].to(device)
        noise = torch.randn(plan.samples, *self._drawn.task.spec.image_shape, generator=randomness)[share].to(device)
        ahead = min(plan.steps * self._inversion_loss.numbers_of(len(noise)), MOST_AHEAD)
        numbers = RandomNumbers.of(randomness, device, ahead)
        chunks = zip(noise.chunk(self.micro_batches), targets.chunk(self.micro_batches), strict=True)
        samples, reports = zip(*(self._optimised(index, *chunk, numbers) for chunk in chunks), strict=True)
        return joined(samples), mean_report(reports)

    def _optimised(
        self, index: int, noise: Tensor, targets: Tensor, numbers: RandomNumbers
    ) -> tuple[Samples, dict[str, float]]:
        """The best step's samples, optimised from this noise."""
        plan, count = self._plan, len(noise)
        if self._pixels is None or self._pixels.count != count:
            self._pixels = None  # frees its memory before the next one is allocated
            self._pixels = Pixels(noise, self._inversion_loss, self._execution)
        self._pixels.begin(noise)
        rates = [self.learning_rate_scale * plan.lr]
        return self._pixels.steps.run(count, plan.steps, index, rates, targets, numbers)

    def renew(self, randomness: torch.Generator) -> bool:
        """See `Inversion`: every round starts from noise, so there is nothing to restart."""
        return False

    def halve(self) -> bool:
        """See `Inversion`; batch statistics need at least two images."""
        if self._plan.samples < 4 * self.micro_batches:
            return False
        self.micro_batches *= 2
        return True

    def notice(self) -> str | None:
        """See `Inversion`."""
        return self._pixels.steps.captured.notice() if self._pixels else None

    def state_dict(self) -> dict[str, Any]:
        """The state that lasts from round to round."""
        return {"inversion_loss": self._inversion_loss.state_dict(), "micro_batches": self.micro_batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._inversion_loss.load_state_dict(state["inversion_loss"])
        self.micro_batches = state["micro_batches"]
        self._pixels = None


class Pixels:
    """Optimised images at fixed memory addresses; each batch of `count` images starts with `begin`."""

    def __init__(self, noise: Tensor, inversion_loss: InversionLoss, execution: Execution) -> None:
        self.count = len(noise)
        self._pixels = torch.empty_like(noise, memory_format=torch.channels_last).requires_grad_()
        shared = inversion_loss.parameters()
        self.steps = InversionSteps(
            images_now=lambda _: GREY + SPREAD * self._pixels, optimizer=adam([self._pixels, *shared], 1.0, BETAS),
            shared=shared, buffers=[], loss=inversion_loss, execution=execution, after_step=lambda _: self._clamp(),
        )  # fmt: skip

    def begin(self, noise: Tensor) -> None:
        """Start from noise `[n, 3, h, w]`."""
        self._pixels.data.copy_(noise)
        self._clamp()

    def _clamp(self) -> None:
        """Limit the pixels to the range in which images are in [0, 1]."""
        self._pixels.data.clamp_(-GREY / SPREAD, (1 - GREY) / SPREAD)
