"""The inversion loss: an objective for synthetic images, with the features that its terms need."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from compress import losses
from compress.synthesis.feature_hooks import penultimate_features
from compress.synthesis.input_prior import make_prior
from compress.synthesis.instances import InstanceDiscrimination
from compress.synthesis.objective import Objective, View
from compress.synthesis.patch_entropy import PatchEntropy
from compress.synthesis.patches import PatchLayer
from compress.task import Samples, Statistics
from compress.training.augment import RandomView
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.random_numbers import Numbers

SampleWeights = Callable[[Statistics], Tensor]
"""From the statistics of a batch to the weight `[n]` of each sample in the per-sample terms."""


@dataclass(frozen=True, kw_only=True)
class BatchLoss:
    """The inversion loss of a batch, its terms, and the teacher's logits."""

    total: Tensor
    """`[]`, with a gradient to the images."""
    terms: dict[str, Tensor]
    targets: Tensor
    """The targets of the images."""
    statistics: Statistics


class InversionLoss:
    """An objective and the inputs of its terms. While entered, hooks record the teacher's features that terms need."""

    def __init__(
        self,
        *,
        teacher: nn.Module,
        student: nn.Module,
        objective: Objective,
        sample_weights: SampleWeights,
        augment: RandomView,
        ignore_index: int,
        execution: Execution,
        bn_momentum: float = 0.0,
        patches: Sequence[PatchLayer] = (),
    ) -> None:
        """`patches` are the teacher's layers that the term `patch_entropy` needs."""
        self._teacher, self._student, self._objective = teacher, student, objective
        self._sample_weights, self._augment, self._ignore_index = sample_weights, augment, ignore_index
        self._compute, self._workers = execution.compute, execution.workers
        self._prior = make_prior(teacher, bn_momentum, self._workers) if objective.needs("bn_distance") else None
        self._patches = PatchEntropy(patches) if objective.needs("patch_entropy") else None
        self._features = penultimate_features(teacher) if objective.needs("teacher_features") else None
        self._instances = (
            InstanceDiscrimination(teacher, self._compute, flip=augment.flip)
            if objective.needs("instance_distance")
            else None
        )
        self._entered = ExitStack()
        self._learning: list[nn.Parameter] = []
        self._rounds = self._loads = 0

    def __enter__(self) -> InversionLoss:
        self._student.eval()
        self._learning = [parameter for parameter in self._student.parameters() if parameter.requires_grad]
        for parameter in self._learning:
            parameter.requires_grad = False  # otherwise every backward pass computes unused gradients
        for listener in (self._prior, self._features, self._instances, self._patches):
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
        """The loss's own parameters, which are trained together with the images."""
        return list(self._instances.head.parameters()) if self._instances else []

    def numbers_of(self, count: int) -> int:
        """The number of random numbers that a step of `count` images uses, including those of the other workers."""
        views = self._workers.size * count * self._augment.numbers_per_image
        patches = self._patches.numbers if self._patches else 0
        return views + patches + (self._instances.numbers_of(count) if self._instances else 0)

    def conditions(self, index: int) -> Hashable | None:
        """The facts on which the steps of a round depend: steps recorded as a graph are valid while they are equal.

        None in the first round, when moving averages and the replay buffer are empty.
        """
        if not self._rounds:
            return None
        memory = self._rounds if self._instances else 0  # remembered descriptions are reallocated after every round
        return tuple(self._objective.active(index).items()), self._loads, memory

    def judge(self, images: Tensor, targets: Tensor | None, index: int, numbers: Numbers) -> BatchLoss:
        """The loss of images `[n, 3, h, w]` in [0, 1] for targets `[n, *s]`, by default the teacher's own predictions.

        `index` is the number of the round.
        """
        view = self._look(images, targets, index, numbers)
        statistics = statistics_of(view.teacher_logits)
        weights = self._sample_weights(self._workers.gather_statistics(statistics))
        own = self._workers.share(len(weights))
        total, terms = self._objective(view, weights[own], index)
        return BatchLoss(
            total=total, terms=terms, targets=view.targets if targets is None else targets, statistics=statistics
        )

    def _look(self, images: Tensor, targets: Tensor | None, index: int, numbers: Numbers) -> View:
        unused = torch.zeros(len(images), dtype=torch.long, device=images.device)
        labels = unused if targets is None else targets
        if self._instances:
            self._instances.record_crops(images, numbers)
        with self._compute.autocast():
            augmented, labels = self._augment(images, labels, numbers, self._ignore_index, self._workers.part)
            teacher_logits = self._teacher(augmented)
            student_logits = self._student(augmented) if self._objective.needs("student_logits", index) else None
        return View(
            images=augmented,
            targets=teacher_logits.argmax(dim=1) if targets is None else labels,
            teacher_logits=teacher_logits,
            ignore_index=self._ignore_index,
            student_logits=student_logits,
            bn_distance=self._prior.distance() if self._prior else None,
            teacher_features=self._features.latest() if self._features else None,
            instance_distance=self._instances.distance(numbers) if self._instances else None,
            patch_entropy=self._patches.entropies(numbers) if self._patches else None,
        )

    def latest(self) -> list[Tensor]:
        """The tensors of the last step with which `end_round` updates moving averages and memories."""
        moments = self._prior.latest() if self._prior else []
        return [*moments, *([self._instances.latest()] if self._instances else [])]

    def end_round(self, latest: Sequence[Tensor]) -> None:
        """Update moving averages and memories with the `latest()` of a round's last step."""
        moments = list(latest)
        if self._instances:
            self._instances.end_round(moments.pop())
        if self._prior:
            self._prior.end_round(moments)
        self._rounds += 1

    def state_dict(self) -> dict[str, Any]:
        """The moving averages and memories."""
        memories = {"prior": self._prior, "instances": self._instances}
        return {name: memory.state_dict() for name, memory in memories.items() if memory is not None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._loads += 1
        for name, memory in (("prior", self._prior), ("instances", self._instances)):
            if memory is not None:
                memory.load_state_dict(state[name])


def statistics_of(teacher_logits: Tensor) -> Statistics:
    """The statistics for replay policies of samples with these teacher logits `[n, k, *s]`."""
    logits = teacher_logits.detach()
    return Statistics(losses.confidence(logits), losses.class_histogram(logits))


def as_samples(images: Tensor, targets: Tensor, statistics: Statistics) -> Samples:
    """Images `[n, 3, h, w]` in [0, 1] as a record for the buffer: uint8, on the same device."""
    return Samples(images.mul(255).round().clamp(0, 255).to(torch.uint8), targets, statistics)


@torch.no_grad()
def labelled(teacher: Callable[[Tensor], Tensor], images: Tensor, targets: Tensor | None, compute: Compute) -> Samples:
    """Images `[n, 3, h, w]` in [0, 1] as samples with labels and the teacher's statistics.

    The labels are `targets [n, *s]`, by default the teacher's predictions.
    """
    with compute.autocast():
        logits = teacher(images)
    return as_samples(images, logits.argmax(dim=1) if targets is None else targets, statistics_of(logits))


def joined(parts: Sequence[Samples]) -> Samples:
    """Several batches of samples, concatenated."""
    statistics = Statistics(
        torch.cat([part.statistics.confidence for part in parts]),
        torch.cat([part.statistics.histogram for part in parts]),
    )
    return Samples(torch.cat([part.images for part in parts]), torch.cat([part.targets for part in parts]), statistics)


def mean_report(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each number over parts of a round; the sum for `skipped`, the number of skipped steps."""
    means = {name: sum(part[name] for part in parts) / len(parts) for name in parts[0]}
    return means | {"skipped": means["skipped"] * len(parts)}
