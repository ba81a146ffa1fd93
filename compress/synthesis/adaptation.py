"""Adapting a clone of a generator, and latents, to a batch of targets."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from compress.synthesis.generators import ImageGenerator
from compress.synthesis.inversion_loss import InversionLoss
from compress.synthesis.inversion_steps import InversionSteps
from compress.training.execution import Execution
from compress.training.optimizers import adam

BETAS = (0.5, 0.999)


class Adaptation:
    """A clone and latents that stay at the same memory addresses, so that their steps can run as a graph.

    Each batch of `count` samples starts with `begin`. `meta` has one tensor for each parameter; the clone's gradients
    are added to it at every step that is taken.
    """

    def __init__(
        self,
        generator: ImageGenerator,
        count: int,
        inversion_loss: InversionLoss,
        meta: Sequence[Tensor],
        execution: Execution,
    ) -> None:
        self.clone, self.count = copy.deepcopy(generator), count
        self._meta, self._compute = meta, execution.compute
        self._latents = torch.zeros(count, generator.latent, device=self._compute.device).requires_grad_()
        shared = [*self.clone.parameters(), *inversion_loss.parameters()]
        optimizer = adam(shared, 1.0, BETAS)
        optimizer.add_param_group({"params": [self._latents]})
        self.steps = InversionSteps(
            images_now=self._images, optimizer=optimizer, shared=shared, buffers=self.clone.buffers(),
            loss=inversion_loss, execution=execution, after_step=self._gather, changed=meta,
        )  # fmt: skip

    @torch.no_grad()
    def begin(self, generator: ImageGenerator, latents: Tensor) -> None:
        """Copy a generator's weights and buffers, and latents `[n, latent]`."""
        ours, theirs = ([*network.parameters(), *network.buffers()] for network in (self.clone, generator))
        for kept, new in zip((*ours, self._latents), (*theirs, latents), strict=True):
            kept.copy_(new)

    def _images(self, targets: Tensor | None) -> Tensor:
        with self._compute.autocast():
            images: Tensor = self.clone(self._latents, targets)
        return images

    def _gather(self, step_taken: Tensor) -> None:
        for gathered, parameter in zip(self._meta, self.clone.parameters(), strict=True):
            if parameter.grad is not None:
                gathered.add_(torch.where(step_taken, parameter.grad, 0.0))
