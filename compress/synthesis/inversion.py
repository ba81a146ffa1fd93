"""Inversion: make images of a teacher that nobody shows any."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from compress.synthesis.generators import ImageGenerator, reinitialise
from compress.synthesis.inversion_loss import BestStep, InversionLoss, joined, judged
from compress.synthesis.targets import DrawTargets
from compress.task import Samples
from compress.training.compute import Compute
from compress.training.optimizers import set_rate, step
from compress.training.parallel import ALONE, Workers


class Inversion(Protocol):
    """Whatever makes samples, round by round."""

    learning_rate_scale: float
    """What learning rates are multiplied by: 1, and less once the run has diverged."""

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """One round: new samples and the numbers that tell how it went."""

    def renew(self, randomness: torch.Generator) -> bool:
        """Begin anew with random weights what has collapsed; returns whether there is anything that can."""

    def state_dict(self) -> dict[str, Any]:
        """All that is kept from round to round."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""


@dataclass(frozen=True)
class InversionPlan:
    """How one round of synthesis goes."""

    samples: int
    steps: int
    lr_generator: float
    lr_latent: float
    """0: the latents stay as they were drawn."""
    meta: Literal["sum", "reptile"] | None
    """How the kept generator moves; None: nothing is kept, every round begins with new random weights."""
    emit: int = 0
    """How many samples the kept generator makes of new latents once it has moved; 0: keep those of the best step."""


class GeneratorInversion:
    """A generator that is kept from round to round, and moves or learns how to be adapted fast (FastDFKD, AAAI 2022).

    A round clones the generator, adapts clone and fresh latents for a few steps, keeps the images of the step with the
    lowest total loss, and moves the kept generator by a meta-update: a persistent Adam on the sum of the clone's
    gradients (first-order MAML), or on the way the clone went (Reptile).

    One step whose gradient goes to the kept generator is the plain training of a generator (DAFL and its kin): `sum`
    with one step and images made of new latents afterwards. With no meta-update the clone begins with new weights.
    """

    def __init__(
        self,
        draw_targets: DrawTargets,
        teacher: nn.Module,
        generator: ImageGenerator,
        inversion_loss: InversionLoss,
        plan: InversionPlan,
        compute: Compute,
        workers: Workers = ALONE,
    ) -> None:
        self._draw_targets, self._teacher, self._generator = draw_targets, teacher, generator
        self._inversion_loss, self._plan, self._compute, self._workers = inversion_loss, plan, compute, workers
        self.learning_rate_scale = 1.0
        self._optimizer = torch.optim.Adam(generator.parameters(), betas=(0.5, 0.999))
        workers.in_step(self._optimizer, generator.parameters())

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """One round: this worker's new samples and the terms of the best step."""
        plan = self._plan
        targets, latents = self._draw([plan.samples], randomness)
        latents.requires_grad_()
        clone = copy.deepcopy(self._generator)
        if plan.meta is None:
            reinitialise(clone, randomness)
        optimizer = torch.optim.Adam(
            [
                {
                    "params": [*clone.parameters(), *self._inversion_loss.parameters()],
                    "lr": self.learning_rate_scale * plan.lr_generator,
                },
                {"params": [latents], "lr": self.learning_rate_scale * plan.lr_latent},
            ],
            betas=(0.5, 0.999),
        )
        self._workers.in_step(optimizer, [*clone.parameters(), *self._inversion_loss.parameters()])
        meta = [torch.zeros_like(parameter) for parameter in self._generator.parameters()]
        best = BestStep(self._workers)
        with self._inversion_loss as inversion_loss:
            for _ in range(plan.steps):
                with self._compute.autocast():
                    images = clone(latents, targets)
                batch_loss = inversion_loss.judge(images, targets, index, randomness)
                sound = best.offer(images, batch_loss)
                if sound:
                    step(optimizer, batch_loss.total)
                    for gathered, parameter in zip(meta, clone.parameters(), strict=True):
                        gathered.add_(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
            if sound:  # the last step is what is remembered
                inversion_loss.end_round()
        samples, report = best.result()
        if targets is None:  # the loss looked at shifted images; these stay as they are
            samples = judged(self._teacher, self._compute.images(samples.images), None, self._compute)
        if plan.meta is not None:
            self._meta_update(clone, meta)
        return self._emit(randomness) if plan.emit else samples, report

    def _draw(self, counts: list[int], randomness: torch.Generator) -> tuple[Tensor | None, Tensor]:
        """This worker's share of the targets and latents of batches of these sizes, which all workers draw."""
        targets, latents = [], []
        for n in counts:
            targets.append(self._draw_targets(n, randomness))
            latents.append(torch.randn(n, self._generator.latent, generator=randomness))
        share, device = self._workers.share(sum(counts)), self._compute.device
        drawn = [part for part in targets if part is not None]
        aims = torch.cat(drawn)[share].to(device) if drawn else None
        return aims, torch.cat(latents)[share].to(device)

    @torch.no_grad()
    def _meta_update(self, clone: nn.Module, gradients: list[Tensor]) -> None:
        pairs = zip(self._generator.parameters(), clone.parameters(), gradients, strict=True)
        for kept, moved, gradient in pairs:
            kept.grad = gradient if self._plan.meta == "sum" else kept - moved
        for kept_buffer, moved_buffer in zip(self._generator.buffers(), clone.buffers(), strict=True):
            kept_buffer.copy_(moved_buffer)
        self._workers.average(self._generator.buffers())
        set_rate(self._optimizer, self.learning_rate_scale * self._plan.lr_generator * self._plan.steps)
        self._optimizer.step()

    def _emit(self, randomness: torch.Generator) -> Samples:
        full, rest = divmod(self._plan.emit, self._plan.samples)
        targets, latents = self._draw([self._plan.samples] * full + [rest] * (rest > 0), randomness)
        batches = torch.split(torch.arange(len(latents)), self._plan.samples // self._workers.size)
        samples = joined([self._emit_batch(None if targets is None else targets[b], latents[b]) for b in batches])
        self._workers.average(self._generator.buffers())
        return samples

    @torch.no_grad()
    def _emit_batch(self, targets: Tensor | None, latents: Tensor) -> Samples:
        with self._compute.autocast():
            images = self._generator(latents, targets)
        return judged(self._teacher, images, targets, self._compute)

    def renew(self, randomness: torch.Generator) -> bool:
        """See `Inversion`: a generator that is kept can."""
        reinitialise(self._generator, randomness)
        self._optimizer.state.clear()
        return self._plan.meta is not None

    def state_dict(self) -> dict[str, Any]:
        """All that is kept from round to round."""
        return {
            "generator": self._generator.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "inversion_loss": self._inversion_loss.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._generator.load_state_dict(state["generator"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._inversion_loss.load_state_dict(state["inversion_loss"])
