"""Inversion: make images of a teacher that nobody shows any."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from compress import losses
from compress.augment import RandomView
from compress.compute import Compute
from compress.errors import CompressError
from compress.generators import ConditionalGenerator
from compress.input_prior import make_prior
from compress.objective import Objective, View
from compress.task import Samples, Statistics, Task

SampleWeights = Callable[[Statistics], Tensor]
"""Statistics of a batch -> the weight `[n]` of each sample in the per-sample terms."""


@dataclass(frozen=True)
class InversionPlan:
    """How one round of synthesis goes."""

    samples: int
    steps: int
    lr_generator: float
    lr_latent: float
    meta: Literal["sum", "reptile"]
    augment: RandomView


class GeneratorInversion:
    """A generator that is kept from round to round and learns how to be adapted fast (FastDFKD, AAAI 2022).

    A round clones the generator, adapts clone and fresh latents for a few steps, keeps the images of the step with the
    lowest total loss, and moves the kept generator by a meta-update: a persistent Adam on the sum of the clone's
    gradients (first-order MAML), or on the way the clone went (Reptile).
    """

    def __init__(
        self,
        task: Task,
        teacher: nn.Module,
        student: nn.Module,
        generator: ConditionalGenerator,
        objective: Objective,
        plan: InversionPlan,
        sample_weights: SampleWeights,
        compute: Compute,
    ) -> None:
        self._task, self._teacher, self._student = task, teacher, student
        self._generator, self._objective, self._plan = generator, objective, plan
        self._sample_weights, self._compute = sample_weights, compute
        self._prior = make_prior(teacher)
        self._optimizer = torch.optim.Adam(generator.parameters(), plan.lr_generator * plan.steps, betas=(0.5, 0.999))

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """One round: new samples and the terms of the step they were kept from."""
        plan, device = self._plan, self._compute.device
        targets = self._task.draw_targets(plan.samples, randomness).to(device)
        latents = torch.randn(plan.samples, self._generator.latent, generator=randomness).to(device).requires_grad_()
        clone = copy.deepcopy(self._generator)
        optimizer = torch.optim.Adam(
            [
                {"params": list(clone.parameters()), "lr": plan.lr_generator},
                {"params": [latents], "lr": plan.lr_latent},
            ],
            betas=(0.5, 0.999),
        )
        meta = [torch.zeros_like(parameter) for parameter in self._generator.parameters()]
        best, lowest, report = None, float("inf"), {}
        self._student.eval()
        with self._prior:
            for _ in range(plan.steps):
                images, view = self._look(clone, latents, targets, index, randomness)
                statistics = Statistics(
                    losses.confidence(view.teacher_logits.detach()),
                    losses.class_histogram(view.teacher_logits.detach()),
                )
                total, terms = self._objective(view, self._sample_weights(statistics), index)
                if total.item() < lowest:
                    best, lowest = (images.detach(), statistics), total.item()
                    report = {name: value.item() for name, value in terms.items()}
                optimizer.zero_grad()
                total.backward()  # type: ignore[no-untyped-call]
                for gathered, parameter in zip(meta, clone.parameters(), strict=True):
                    gathered.add_(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
                optimizer.step()
            self._prior.end_round()
        self._meta_update(clone, meta)
        if best is None:
            raise CompressError("the inversion diverged, no step had a finite loss: lower --inversion.lr-generator")
        return _samples(best[0], targets, best[1]), report

    def _look(
        self, clone: ConditionalGenerator, latents: Tensor, targets: Tensor, index: int, randomness: torch.Generator
    ) -> tuple[Tensor, View]:
        ignore = self._task.spec.ignore_index
        with self._compute.autocast():
            images = clone(latents, targets)
            moved, aims = self._plan.augment(images, targets, randomness, ignore)
            teacher_logits = self._teacher(moved)
            student_logits = self._student(moved) if self._objective.needs_student(index) else None
        return images, View(aims, teacher_logits, student_logits, self._prior.distance(), ignore)

    @torch.no_grad()
    def _meta_update(self, clone: nn.Module, gradients: list[Tensor]) -> None:
        pairs = zip(self._generator.parameters(), clone.parameters(), gradients, strict=True)
        for kept, moved, gradient in pairs:
            kept.grad = gradient if self._plan.meta == "sum" else kept - moved
        for kept_buffer, moved_buffer in zip(self._generator.buffers(), clone.buffers(), strict=True):
            kept_buffer.copy_(moved_buffer)
        self._optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """All that is kept from round to round."""
        return {
            "generator": self._generator.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "prior": self._prior.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._generator.load_state_dict(state["generator"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._prior.load_state_dict(state["prior"])


def _samples(images: Tensor, targets: Tensor, statistics: Statistics) -> Samples:
    pixels = images.mul(255).round().clamp(0, 255).to(torch.uint8)
    return Samples(pixels.cpu(), targets.cpu(), Statistics(statistics.confidence.cpu(), statistics.histogram.cpu()))
