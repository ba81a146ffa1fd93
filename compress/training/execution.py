"""Where a run executes: device, workers and random numbers, for every part of the engine."""

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
        """The compute device. All tensors of a step are on it."""
        return self.compute.device

    def numbers(self, ahead: int) -> RandomNumbers:
        """Random numbers on the device; about `ahead` of them will be used."""
        return RandomNumbers.of(self.randomness, self.device, max(ahead, 1))

    def guarded(self, optimizer: Optimizer, shared: Iterable[Tensor], buffers: Iterable[Tensor]) -> FiniteSteps:
        """Guarded steps of an optimiser; `shared` are those of its tensors that are the same on all workers."""
        return FiniteSteps(optimizer, buffers, self.workers.exchange(optimizer, shared))
