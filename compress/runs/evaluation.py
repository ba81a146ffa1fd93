"""Scores on held-out data, with one function for teachers, students and ONNX files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from compress.errors import UsageError
from compress.runs.answering import Answers
from compress.task import HeldOut, Tabulated
from compress.training.compute import Compute


@dataclass(frozen=True, kw_only=True)
class Score:
    """The metric's numbers for a whole data set."""

    metric: str
    """Name of the headline number."""
    numbers: Mapping[str, Any]
    """All numbers by name, the headline number first."""
    count: int
    """Number of images."""
    seconds: float = 0.0
    """Seconds of the measurement."""
    chance: float | None = None
    """The highest score of predictions that ignore the images, if the metric counts by class."""
    confusion: Tensor | None = None
    """Long `[k, k]`: true by predicted class, if the metric counts them."""

    @property
    def by_class(self) -> dict[str, Mapping[str, float]]:
        """The numbers by class."""
        return {name: value for name, value in self.numbers.items() if isinstance(value, Mapping)}

    @property
    def headline(self) -> float:
        """The headline number of the task."""
        value = self.numbers[self.metric]
        assert isinstance(value, float)
        return value


def evaluate(predict: Callable[[Tensor], Tensor], held_out: HeldOut, compute: Compute) -> Score:
    """The metric of `predict` (images to logits `[n, k, *s]`) over all held-out data."""
    metric, count, started = held_out.metric(), 0, time.perf_counter()
    for logits, targets in Answers(predict, compute).of(held_out.batches()):
        metric.update(logits, targets)
        count += len(targets)
    headline, numbers = held_out.spec.metric, metric.compute()
    score = Score(
        metric=headline,
        numbers={headline: numbers[headline], **numbers},
        count=count,
        seconds=time.perf_counter() - started,
    )
    if not isinstance(metric, Tabulated):
        return score
    return replace(score, chance=metric.chance()[score.metric], confusion=metric.counts)


def require_better_than_chance(teacher: Score) -> None:
    """Raise `UsageError` unless the teacher beats the best predictions that ignore the images."""
    if teacher.chance is not None and teacher.headline <= teacher.chance:
        raise UsageError(
            f"the teacher is not better than chance: {teacher.metric} {teacher.headline:.3f}; answers that ignore "
            f"the image reach {teacher.chance:.3f}; check its weights, its classes and its normalisation"
        )


def parameter_count(model: nn.Module) -> int:
    """The number of parameters, trainable or frozen."""
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def multiply_accumulates(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Multiply-accumulate operations of convolutions and matrix products for one image."""
    device = next(model.parameters()).device
    counter = FlopCounterMode(display=False)
    with counter:
        model.eval()(torch.zeros(1, *image_shape, device=device))
    return int(counter.get_total_flops()) // 2
