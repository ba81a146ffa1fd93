"""The inversion loss: an objective of synthetic images, with all that its terms need of teacher and student."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from compress import losses
from compress.errors import Diverged
from compress.synthesis.feature_hooks import penultimate_features
from compress.synthesis.input_prior import make_prior
from compress.synthesis.instances import InstanceDiscrimination
from compress.synthesis.objective import Objective, View
from compress.task import Samples, Statistics
from compress.training.augment import RandomView
from compress.training.compute import Compute
from compress.training.guards import StepGuard
from compress.training.parallel import ALONE, Workers

SampleWeights = Callable[[Statistics], Tensor]
"""Statistics of a batch -> the weight `[n]` of each sample in the per-sample terms."""


@dataclass(frozen=True)
class BatchLoss:
    """The inversion loss of a batch, its terms, and what the teacher says of the images."""

    total: Tensor
    """`[]`, with a gradient to the images."""
    terms: dict[str, Tensor]
    targets: Tensor
    """What the images were held against."""
    statistics: Statistics


class InversionLoss:
    """An objective with all that its terms look at; while entered, it listens inside the teacher to what they need."""

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        objective: Objective,
        sample_weights: SampleWeights,
        augment: RandomView,
        ignore_index: int,
        compute: Compute,
        bn_momentum: float = 0.0,
        workers: Workers = ALONE,
    ) -> None:
        self._teacher, self._student, self._objective = teacher, student, objective
        self._sample_weights, self._augment = sample_weights, augment
        self._ignore_index, self._compute, self._workers = ignore_index, compute, workers
        self._prior = make_prior(teacher, bn_momentum, workers) if objective.needs("bn_distance") else None
        self._features = penultimate_features(teacher) if objective.needs("teacher_features") else None
        self._instances = (
            InstanceDiscrimination(teacher, compute, flip=augment.flip)
            if objective.needs("instance_distance")
            else None
        )
        self._entered = ExitStack()
        self._learning: list[nn.Parameter] = []

    def __enter__(self) -> InversionLoss:
        self._student.eval()
        self._learning = [parameter for parameter in self._student.parameters() if parameter.requires_grad]
        for parameter in self._learning:
            parameter.requires_grad = False  # or every backward would work out gradients that nobody wants
        for listener in (self._prior, self._features, self._instances):
            if listener is not None:
                self._entered.enter_context(listener)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.close()
        for parameter in self._learning:
            parameter.requires_grad = True

    def parameters(self) -> list[nn.Parameter]:
        """What learns along with the images."""
        return list(self._instances.head.parameters()) if self._instances else []

    def judge(self, images: Tensor, targets: Tensor | None, index: int, randomness: torch.Generator) -> BatchLoss:
        """Images `[n, 3, h, w]` in [0, 1], made for targets `[n, *s]`; without any, the teacher's answer is the target.

        `index` is the round's.
        """
        view = self._look(images, targets, index, randomness)
        statistics = statistics_of(view.teacher_logits)
        weights = self._sample_weights(self._workers.gather_statistics(statistics))
        own = self._workers.share(len(weights))
        total, terms = self._objective(view, weights[own], index)
        return BatchLoss(total, terms, view.targets if targets is None else targets, statistics)

    def _look(self, images: Tensor, targets: Tensor | None, index: int, randomness: torch.Generator) -> View:
        nothing = torch.zeros(len(images), dtype=torch.long, device=images.device)
        aims = nothing if targets is None else targets
        if self._instances:
            self._instances.show_parts(images, randomness)
        with self._compute.autocast():
            moved, aims = self._augment(images, aims, randomness, self._ignore_index, self._workers.part)
            teacher_logits = self._teacher(moved)
            student_logits = self._student(moved) if self._objective.needs("student_logits", index) else None
        return View(
            images=moved,
            targets=teacher_logits.argmax(dim=1) if targets is None else aims,
            teacher_logits=teacher_logits,
            ignore_index=self._ignore_index,
            student_logits=student_logits,
            bn_distance=self._prior.distance() if self._prior else None,
            teacher_features=self._features.latest() if self._features else None,
            instance_distance=self._instances.distance(randomness) if self._instances else None,
        )

    def end_round(self) -> None:
        """Fold the last step into what is remembered from round to round."""
        for memory in (self._prior, self._instances):
            if memory is not None:
                memory.end_round()

    def state_dict(self) -> dict[str, Any]:
        """What is remembered from round to round."""
        memories = {"prior": self._prior, "instances": self._instances}
        return {name: memory.state_dict() for name, memory in memories.items() if memory is not None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        for name, memory in (("prior", self._prior), ("instances", self._instances)):
            if memory is not None:
                memory.load_state_dict(state[name])


class BestStep:
    """The images of the step with the lowest total loss so far, over all workers."""

    def __init__(self, workers: Workers = ALONE) -> None:
        self._workers = workers
        self._guard = StepGuard()
        self._lowest = float("inf")
        self._images: Tensor | None = None
        self._batch_loss: BatchLoss | None = None

    def offer(self, images: Tensor, batch_loss: BatchLoss) -> bool:
        """Keep them if they are better than all before; returns whether to take a step on the batch_loss.

        Raises `Diverged` after too many verdicts in a row that are no numbers.
        """
        total = self._workers.mean(batch_loss.total).cpu()
        if not self._guard.passes(total):
            return False
        if total.item() < self._lowest:
            self._lowest, self._images = total.item(), images.detach()
            self._batch_loss = replace(batch_loss, total=batch_loss.total.detach())
        return True

    def result(self) -> tuple[Samples, dict[str, float]]:
        """The best samples, their terms and how many steps were skipped; `Diverged` if no step had a finite loss."""
        if self._images is None or self._batch_loss is None:
            raise Diverged("the inversion diverged, no step had a finite loss")
        samples = as_samples(self._images, self._batch_loss.targets, self._batch_loss.statistics)
        terms = {name: value.item() for name, value in self._batch_loss.terms.items()}
        return samples, {**terms, "skipped": float(self._guard.skipped)}


def statistics_of(teacher_logits: Tensor) -> Statistics:
    """What replay policies may know of samples with these logits `[n, k, *s]`."""
    logits = teacher_logits.detach()
    return Statistics(losses.confidence(logits), losses.class_histogram(logits))


def as_samples(images: Tensor, targets: Tensor, statistics: Statistics) -> Samples:
    """Images `[n, 3, h, w]` in [0, 1] as a record for the buffer: uint8, on the CPU."""
    pixels = images.mul(255).round().clamp(0, 255).to(torch.uint8)
    return Samples(pixels.cpu(), targets.cpu(), Statistics(statistics.confidence.cpu(), statistics.histogram.cpu()))


@torch.no_grad()
def judged(teacher: Callable[[Tensor], Tensor], images: Tensor, targets: Tensor | None, compute: Compute) -> Samples:
    """Images `[n, 3, h, w]` in [0, 1] as samples, with what the teacher thinks of them.

    `targets [n, *s]` say what they show; without any it is what the teacher sees.
    """
    with compute.autocast():
        logits = teacher(images)
    return as_samples(images, logits.argmax(dim=1) if targets is None else targets, statistics_of(logits))


def joined(parts: list[Samples]) -> Samples:
    """Several batches of samples as one."""
    statistics = Statistics(
        torch.cat([part.statistics.confidence for part in parts]),
        torch.cat([part.statistics.histogram for part in parts]),
    )
    return Samples(torch.cat([part.images for part in parts]), torch.cat([part.targets for part in parts]), statistics)
