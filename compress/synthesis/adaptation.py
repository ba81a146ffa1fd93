"""A clone of a generator, and latents, that are adapted to a batch of targets."""

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
    """A clone and latents whose memory stays where it is: every batch of this size begins with `begin`.

    `meta` are one tensor a parameter, to which the gradients of the clone are added at every step that is taken.
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
        """Take a generator's weights and buffers, and latents `[n, latent]`."""
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
