"""Where a run is worked on: what every part of the engine is told of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from compress.training.compute import Compute
from compress.training.finite_steps import FiniteSteps
from compress.training.parallel import Workers
from compress.training.random_numbers import RandomNumbers


@dataclass(frozen=True, kw_only=True)
class Execution:
    """The device and its precision, this process among the workers, and the run's one generator of random numbers."""

    compute: Compute
    workers: Workers
    randomness: torch.Generator

    @property
    def device(self) -> torch.device:
        """Where everything lies that a step touches."""
        return self.compute.device

    def numbers(self, ahead: int) -> RandomNumbers:
        """Random numbers on the device, of which about this many will be asked for."""
        return RandomNumbers.of(self.randomness, self.device, max(ahead, 1))

    def guarded(self, optimizer: Optimizer, shared: Iterable[Tensor], buffers: Iterable[Tensor]) -> FiniteSteps:
        """Steps of an optimiser; `shared` are what all workers have of what it moves."""
        return FiniteSteps(optimizer, buffers, self.workers.exchange(optimizer, shared))
