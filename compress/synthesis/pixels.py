"""Inversion without a generator: the pixels themselves are what is optimised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from compress.synthesis.inversion_loss import BestStep, InversionLoss
from compress.synthesis.targets import Drawn
from compress.task import Samples
from compress.training.compute import Compute
from compress.training.optimizers import step
from compress.training.parallel import ALONE, Workers

GREY, SPREAD = 0.5, 0.25
"""Images are GREY + SPREAD·x: roughly the scale that networks normalise to, in which learning rates are published."""


@dataclass(frozen=True)
class PixelPlan:
    """How one round of synthesis goes."""

    samples: int
    steps: int
    lr: float


class PixelInversion:
    """Every round begins with noise and descends on the pixels (DeepInversion, Yin et al., CVPR 2020)."""

    def __init__(
        self, drawn: Drawn, inversion_loss: InversionLoss, plan: PixelPlan, compute: Compute, workers: Workers = ALONE
    ) -> None:
        self._drawn = drawn
        self._inversion_loss, self._plan, self._compute, self._workers = inversion_loss, plan, compute, workers
        self.learning_rate_scale = 1.0

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """One round: this worker's new samples and the terms of the best step."""
        plan, device = self._plan, self._compute.device
        share = self._workers.share(plan.samples)
        targets = self._drawn(plan.samples, randomness)[share].to(device)
        noise = torch.randn(plan.samples, *self._drawn.task.spec.image_shape, generator=randomness)[share].to(device)
        pixels = _clamped(noise.contiguous(memory_format=torch.channels_last)).requires_grad_()
        optimizer = torch.optim.Adam(
            [pixels, *self._inversion_loss.parameters()], self.learning_rate_scale * plan.lr, betas=(0.5, 0.99)
        )
        self._workers.in_step(optimizer, self._inversion_loss.parameters())
        best = BestStep(self._workers)
        with self._inversion_loss as inversion_loss:
            for _ in range(plan.steps):
                images = GREY + SPREAD * pixels
                batch_loss = inversion_loss.judge(images, targets, index, randomness)
                sound = best.offer(images, batch_loss)
                if sound:
                    step(optimizer, batch_loss.total)
                    _clamped(pixels.data)
            if sound:  # the last step is what is remembered
                inversion_loss.end_round()
        return best.result()

    def renew(self, randomness: torch.Generator) -> bool:
        """See `Inversion`: every round begins anew."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """All that is kept from round to round."""
        return {"inversion_loss": self._inversion_loss.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._inversion_loss.load_state_dict(state["inversion_loss"])


def _clamped(pixels: torch.Tensor) -> torch.Tensor:
    """In place: to where the images are in [0, 1]."""
    return pixels.clamp_(-GREY / SPREAD, (1 - GREY) / SPREAD)
