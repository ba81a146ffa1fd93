"""Inversion: synthesise images from a teacher without data."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from compress.synthesis.generators import ImageGenerator, reinitialise
from compress.synthesis.inversion_loss import InversionLoss, joined, judged, mean_report
from compress.synthesis.inversion_steps import InversionSteps
from compress.synthesis.targets import DrawTargets
from compress.task import Samples
from compress.training.execution import Execution
from compress.training.optimizers import adam, set_rate
from compress.training.random_numbers import RandomNumbers

BETAS = (0.5, 0.999)


class Inversion(Protocol):
    """A source of samples, round by round."""

    learning_rate_scale: float
    """The factor of all learning rates: 1, and less after the run has diverged."""
    micro_batches: int
    """In how many parts, one after the other, a round's samples are made: 1, and more where memory did not do."""

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """One round: new samples and its loss terms by name."""

    def renew(self, randomness: torch.Generator) -> bool:
        """Restart a collapsed generator from random weights; returns whether there is one."""

    def halve(self) -> bool:
        """Make half as many samples at once from now on; returns whether that can be."""

    def state_dict(self) -> dict[str, Any]:
        """All that is kept from round to round."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""


@dataclass(frozen=True, kw_only=True)
class InversionPlan:
    """The settings of one round of synthesis."""

    samples: int
    steps: int
    lr_generator: float
    lr_latent: float = 0.0
    """0: the latents are not optimised."""
    keeps_generator: bool = True
    """Whether the generator is kept and meta-learned; otherwise every round begins with new random weights."""
    emit: int = 0
    """Number of samples to generate from new latents after the update; 0: keep those of the best step."""


class GeneratorInversion:
    """A generator that is trained or meta-learned over all rounds (FastDFKD, AAAI 2022).

    A round clones the generator, adapts clone and fresh latents for a few steps, keeps the images of the step with the
    lowest total loss, and moves the kept generator by a meta-update: a persistent Adam on the sum of the clone's
    gradients (first-order MAML).

    One step whose gradient goes to the kept generator is the plain training of a generator (DAFL and its kin): one
    step, and images made of new latents afterwards. Where no generator is kept the clone begins with new weights.
    """

    def __init__(
        self,
        *,
        draw_targets: DrawTargets,
        teacher: nn.Module,
        generator: ImageGenerator,
        inversion_loss: InversionLoss,
        plan: InversionPlan,
        execution: Execution,
    ) -> None:
        self._draw_targets, self._teacher, self._generator = draw_targets, teacher, generator
        self._inversion_loss, self._plan, self._execution = inversion_loss, plan, execution
        self._compute, self._workers = execution.compute, execution.workers
        self.learning_rate_scale, self.micro_batches = 1.0, 1
        self._optimizer = adam(generator.parameters(), plan.lr_generator, BETAS)

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """One round: this worker's new samples and the terms of the best step."""
        plan, parts = self._plan, self.micro_batches
        targets, latents = self._draw([plan.samples], randomness)
        ahead = plan.steps * plan.samples * self._inversion_loss.numbers_per_image()
        steps = InversionSteps(
            loss=self._inversion_loss,
            steps=plan.steps,
            index=index,
            workers=self._workers,
            numbers=RandomNumbers.of(randomness, self._compute.device, ahead),
        )
        meta = [torch.zeros_like(parameter) for parameter in self._generator.parameters()]
        chunks = zip(latents.chunk(parts), [None] * parts if targets is None else targets.chunk(parts), strict=True)
        done = [self._adapt(steps, *chunk, meta, randomness) for chunk in chunks]
        if plan.keeps_generator:
            self._meta_update(done[-1][2], [gradient / parts for gradient in meta])
        if plan.emit:
            return self._emit(randomness), mean_report([report for _, report, _ in done])
        return joined([samples for samples, _, _ in done]), mean_report([report for _, report, _ in done])

    def _adapt(
        self,
        steps: InversionSteps,
        latents: Tensor,
        targets: Tensor | None,
        meta: list[Tensor],
        randomness: torch.Generator,
    ) -> tuple[Samples, dict[str, float], nn.Module]:
        """Samples of a clone of the generator that is adapted to these latents; adds to the `meta` gradients."""
        plan, scale = self._plan, self.learning_rate_scale
        latents.requires_grad_()
        clone = copy.deepcopy(self._generator)
        if not plan.keeps_generator:
            reinitialise(clone, randomness)
        shared = [*clone.parameters(), *self._inversion_loss.parameters()]
        optimizer = adam(shared, scale * plan.lr_generator, BETAS)
        optimizer.add_param_group({"params": [latents], "lr": scale * plan.lr_latent})

        def images_now() -> Tensor:
            with self._compute.autocast():
                return clone(latents, targets)  # type: ignore[no-any-return]

        def gather(step_taken: Tensor) -> None:
            for gathered, parameter in zip(meta, clone.parameters(), strict=True):
                if parameter.grad is not None:
                    gathered.add_(torch.where(step_taken, parameter.grad, 0.0))

        guard = self._execution.guarded(optimizer, shared, clone.buffers())
        samples, report = steps.run(images_now, targets, guard, gather)
        if targets is None:  # the loss used shifted images; the samples are not shifted
            samples = judged(self._teacher, self._compute.images(samples.images), None, self._compute)
        return samples, report, clone

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
        for kept, gradient in zip(self._generator.parameters(), gradients, strict=True):
            kept.grad = gradient
        for kept_buffer, moved_buffer in zip(self._generator.buffers(), clone.buffers(), strict=True):
            kept_buffer.copy_(moved_buffer)
        self._workers.average(self._generator.buffers())
        self._workers.average(gradients)
        set_rate(self._optimizer, self.learning_rate_scale * self._plan.lr_generator * self._plan.steps)
        self._optimizer.step()

    def _emit(self, randomness: torch.Generator) -> Samples:
        full, rest = divmod(self._plan.emit, self._plan.samples)
        targets, latents = self._draw([self._plan.samples] * full + [rest] * (rest > 0), randomness)
        at_once = max(self._plan.samples // self._workers.size // self.micro_batches, 1)
        batches = [slice(start, start + at_once) for start in range(0, len(latents), at_once)]
        samples = joined([self._emit_batch(None if targets is None else targets[b], latents[b]) for b in batches])
        self._workers.average(self._generator.buffers())
        return samples

    @torch.no_grad()
    def _emit_batch(self, targets: Tensor | None, latents: Tensor) -> Samples:
        with self._compute.autocast():
            images = self._generator(latents, targets)
        return judged(self._teacher, images, targets, self._compute)

    def halve(self) -> bool:
        """See `Inversion`; batch normalisation needs two images."""
        if self._plan.samples < 4 * self.micro_batches:
            return False
        self.micro_batches *= 2
        return True

    def renew(self, randomness: torch.Generator) -> bool:
        """See `Inversion`: a meta-learned generator can restart."""
        reinitialise(self._generator, randomness)
        self._optimizer.state.clear()
        return self._plan.keeps_generator

    def state_dict(self) -> dict[str, Any]:
        """All that is kept from round to round."""
        return {
            "generator": self._generator.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "inversion_loss": self._inversion_loss.state_dict(),
            "micro_batches": self.micro_batches,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._generator.load_state_dict(state["generator"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._inversion_loss.load_state_dict(state["inversion_loss"])
        self.micro_batches = state["micro_batches"]
