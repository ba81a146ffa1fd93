"""Inversion: synthesise images from a teacher without data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from compress.synthesis.adaptation import BETAS, Adaptation
from compress.synthesis.generators import ImageGenerator, reinitialise
from compress.synthesis.inversion_loss import InversionLoss, joined, judged, mean_report
from compress.synthesis.targets import DrawTargets
from compress.task import Samples
from compress.training.execution import Execution
from compress.training.optimizers import adam, set_rate
from compress.training.random_numbers import RandomNumbers


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

    def notice(self) -> str | None:
        """Why steps do not run as graphs, once; None if they do or nobody wants it."""

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
        self._meta: list[Tensor] = []
        """The clone's gradients, summed over a round, where they stay; empty before the first one."""
        self._adaptation: Adaptation | None = None

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """One round: this worker's new samples and the terms of the best step."""
        plan, parts = self._plan, self.micro_batches
        targets, latents = self._draw([plan.samples], randomness)
        ahead = plan.steps * self._inversion_loss.numbers_of(len(latents))
        numbers = RandomNumbers.of(randomness, self._compute.device, ahead)
        self._meta = self._meta or [torch.zeros_like(parameter) for parameter in self._generator.parameters()]
        torch._foreach_zero_(self._meta)
        chunks = zip(latents.chunk(parts), [None] * parts if targets is None else targets.chunk(parts), strict=True)
        done = [self._adapt(index, *chunk, numbers, randomness) for chunk in chunks]
        if plan.keeps_generator:
            self._meta_update([gradient / parts for gradient in self._meta])
        if plan.emit:
            return self._emit(randomness), mean_report([report for _, report in done])
        return joined([samples for samples, _ in done]), mean_report([report for _, report in done])

    def _adapt(
        self,
        index: int,
        latents: Tensor,
        targets: Tensor | None,
        numbers: RandomNumbers,
        randomness: torch.Generator,
    ) -> tuple[Samples, dict[str, float]]:
        """Samples of a clone of the generator that is adapted to these latents; adds to the meta gradients."""
        plan, scale, count = self._plan, self.learning_rate_scale, len(latents)
        if self._adaptation is None or self._adaptation.count != count:
            self._adaptation = None  # its memory is free before the next one takes its own
            loss = self._inversion_loss
            self._adaptation = Adaptation(self._generator, count, loss, self._meta, self._execution)
        self._adaptation.begin(self._generator, latents)
        if not plan.keeps_generator:
            reinitialise(self._adaptation.clone, randomness)
        rates = (scale * plan.lr_generator, scale * plan.lr_latent)
        samples, report = self._adaptation.steps.run(count, plan.steps, index, rates, targets, numbers)
        if targets is None:  # the loss used shifted images; the samples are not shifted
            samples = judged(self._teacher, self._compute.images(samples.images), None, self._compute)
        return samples, report

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
    def _meta_update(self, gradients: list[Tensor]) -> None:
        assert self._adaptation is not None
        for kept, gradient in zip(self._generator.parameters(), gradients, strict=True):
            kept.grad = gradient
        for kept_buffer, moved_buffer in zip(self._generator.buffers(), self._adaptation.clone.buffers(), strict=True):
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

    def notice(self) -> str | None:
        """See `Inversion`."""
        return self._adaptation.steps.captured.notice() if self._adaptation else None

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
        self._adaptation = None
