"""Schedules are values: what changes over rounds or steps is a small object that is called with the count."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """A number for each round or step, counted from 0."""

    def __call__(self, step: int) -> float:
        """The value at `step`."""


@dataclass(frozen=True)
class Constant:
    """Always `value`."""

    value: float

    def __call__(self, step: int) -> float:
        """The value."""
        return self.value


@dataclass(frozen=True)
class From:
    """0 before `start`, `value` from then on."""

    start: int
    value: float

    def __call__(self, step: int) -> float:
        """The value at `step`."""
        return self.value if step >= self.start else 0.0


@dataclass(frozen=True)
class WarmupCosine:
    """Linear rise over `warmup` steps, then half a cosine from `peak` to a hundredth of it at `steps`."""

    peak: float
    warmup: int
    steps: int

    def __call__(self, step: int) -> float:
        """The value at `step`."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        done = min((step - self.warmup) / max(self.steps - self.warmup, 1), 1.0)
        return self.peak * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


@dataclass(frozen=True)
class WarmupPolynomial:
    """Linear rise over `warmup` steps, then `peak` times the share of steps that are left to the 0.9 (DeepLab)."""

    peak: float
    warmup: int
    steps: int

    def __call__(self, step: int) -> float:
        """The value at `step`."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        left: float = max(1 - (step - self.warmup) / max(self.steps - self.warmup, 1), 0.0)
        return self.peak * math.pow(left, 0.9)


@dataclass(frozen=True)
class Stairs:
    """`first`, and a tenth of it from each of the given shares of `steps` on."""

    first: float
    steps: int
    at: tuple[float, ...]

    def __call__(self, step: int) -> float:
        """The value at `step`."""
        return self.first * 0.1 ** sum(step >= share * self.steps for share in self.at)
