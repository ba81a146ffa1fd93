"""Inversion: synthesise images from a teacher without data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from compress.synthesis.adaptation import BETAS, Adaptation
from compress.synthesis.generators import ImageGenerator, reinitialise
from compress.synthesis.inversion_loss import InversionLoss, joined, labelled, mean_report
from compress.synthesis.targets import DrawTargets
from compress.task import Samples
from compress.training.execution import Execution
from compress.training.optimizers import adam, set_rate
from compress.training.random_numbers import RandomNumbers


class Inversion(Protocol):
    """A source of samples, round by round."""

    learning_rate_scale: float
    """The factor of all learning rates: 1, or less after the run has diverged."""
    micro_batches: int
    """The number of sequential parts in which a round's samples are synthesised: 1, or more after memory ran out."""

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """One round: new samples and its loss terms by name."""

    def renew(self, randomness: torch.Generator) -> bool:
        """Restart a collapsed generator from random weights; returns whether there is one."""

    def halve(self) -> bool:
        """Synthesise half as many samples at once from now on; returns whether that is possible."""

    def notice(self) -> str | None:
        """The reason why steps do not run as graphs, once; None if they do, or if graphs are switched off."""

    def state_dict(self) -> dict[str, Any]:
        """The state that lasts from round to round."""

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
    """Whether the generator is kept and meta-learned; otherwise every round starts from new random weights."""
    emit: int = 0
    """Number of samples to generate from new latents after the update; 0: keep the samples of the best step."""


class GeneratorInversion:
    """A generator that is trained or meta-learned over all rounds (FastDFKD, AAAI 2022).

    A round clones the generator, adapts the clone and fresh latents for a few steps, and keeps the images of the step
    with the lowest total loss. Then a meta-update changes the kept generator: a persistent Adam on the sum of the
    clone's gradients (first-order MAML).

    With one step per round, this is the plain training of a generator (DAFL and similar methods); images then come
    from new latents after the update. If no generator is kept, the clone starts from new random weights.
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
        """The clone's gradients, summed over a round, always at the same memory addresses; empty before the first
        round."""
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
        samples, reports = zip(*(self._adapt(index, *chunk, numbers, randomness) for chunk in chunks), strict=True)
        if plan.keeps_generator:
            self._meta_update([gradient / parts for gradient in self._meta])
        return self._emit(randomness) if plan.emit else joined(samples), mean_report(reports)

    def _adapt(
        self,
        index: int,
        latents: Tensor,
        targets: Tensor | None,
        numbers: RandomNumbers,
        randomness: torch.Generator,
    ) -> tuple[Samples, dict[str, float]]:
        """Samples of a clone of the generator after adapting it with these latents; adds to the meta-gradients."""
        plan, scale, count = self._plan, self.learning_rate_scale, len(latents)
        if self._adaptation is None or self._adaptation.count != count:
            self._adaptation = None  # frees its memory before the next one is allocated
            loss = self._inversion_loss
            self._adaptation = Adaptation(self._generator, count, loss, self._meta, self._execution)
        self._adaptation.begin(self._generator, latents)
        if not plan.keeps_generator:
            reinitialise(self._adaptation.clone, randomness)
        rates = (scale * plan.lr_generator, scale * plan.lr_latent)
        samples, report = self._adaptation.steps.run(count, plan.steps, index, rates, targets, numbers)
        if targets is None:  # the loss used shifted images; the samples are not shifted
            samples = labelled(self._teacher, self._compute.images(samples.images), None, self._compute)
        return samples, report

    def _draw(self, counts: list[int], randomness: torch.Generator) -> tuple[Tensor | None, Tensor]:
        """This worker's share of targets and latents for batches of these sizes; every worker draws all of them."""
        batches, latents = [], []
        for n in counts:
            batches.append(self._draw_targets(n, randomness))
            latents.append(torch.randn(n, self._generator.latent, generator=randomness))
        share, device = self._workers.share(sum(counts)), self._compute.device
        drawn = [batch for batch in batches if batch is not None]
        targets = torch.cat(drawn)[share].to(device) if drawn else None
        return targets, torch.cat(latents)[share].to(device)

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
        return labelled(self._teacher, images, targets, self._compute)

    def halve(self) -> bool:
        """See `Inversion`; batch normalisation needs at least two images."""
        if self._plan.samples < 4 * self.micro_batches:
            return False
        self.micro_batches *= 2
        return True

    def renew(self, randomness: torch.Generator) -> bool:
        """See `Inversion`: a kept generator restarts from random weights."""
        reinitialise(self._generator, randomness)
        self._optimizer.state.clear()
        return self._plan.keeps_generator

    def notice(self) -> str | None:
        """See `Inversion`."""
        return self._adaptation.steps.captured.notice() if self._adaptation else None

    def state_dict(self) -> dict[str, Any]:
        """The state that lasts from round to round."""
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
