"""Schedules: small objects that map the number of a round or step to a value."""

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
class Cosine:
    """Half a cosine from `first` to a hundredth of it at `steps`."""

    first: float
    steps: int

    def __call__(self, step: int) -> float:
        """The value at `step`."""
        done = min(step / max(self.steps, 1), 1.0)
        return self.first * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


@dataclass(frozen=True)
class Polynomial:
    """`first` times the remaining fraction of `steps` to the power of 0.9 (DeepLab)."""

    first: float
    steps: int

    def __call__(self, step: int) -> float:
        """The value at `step`."""
        return self.first * math.pow(max(1 - step / max(self.steps, 1), 0.0), 0.9)


@dataclass(frozen=True)
class Warmup:
    """A linear warm-up over `steps` to the first value of `then`."""

    steps: int
    then: Schedule

    def __call__(self, step: int) -> float:
        """The value at `step`."""
        return self.then(0) * (step + 1) / self.steps if step < self.steps else self.then(step - self.steps)


@dataclass(frozen=True, kw_only=True)
class Stairs:
    """`first`, divided by ten at each of the given fractions of `steps`."""

    first: float
    steps: int
    at: tuple[float, ...]

    def __call__(self, step: int) -> float:
        """The value at `step`."""
        return self.first * 0.1 ** sum(step >= share * self.steps for share in self.at)
