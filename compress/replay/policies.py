"""The policies of a replay buffer: which samples it keeps and which it draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from compress.replay.balance import balance
from compress.task import Statistics

Keep = Callable[[Statistics, Tensor, Tensor], Tensor]
"""(statistics of candidates, their age ranks `[n]`, newest highest, class shares `[k]` of all candidates) -> scores
`[n]`; the samples with the highest scores are kept."""


def newest(statistics: Statistics, arrival: Tensor, class_share: Tensor) -> Tensor:
    """First in, first out."""
    return arrival.float()


def oldest(statistics: Statistics, arrival: Tensor, class_share: Tensor) -> Tensor:
    """Keep the first samples; a full buffer never changes."""
    return -arrival.float()


@dataclass(frozen=True)
class Balanced:
    """Admission and eviction by SSD-KD's φ: samples of frequent classes and of high confidence are dropped first."""

    gamma: float

    def __call__(self, statistics: Statistics, arrival: Tensor, class_share: Tensor) -> Tensor:
        """φ of every candidate against the class shares of all of them."""
        return balance(statistics, class_share, self.gamma)


@dataclass(frozen=True)
class Uniform:
    """Uniform sampling."""

    def probabilities(self, priorities: Tensor) -> Tensor:
        """`[n]`, summing to 1."""
        return torch.full_like(priorities, 1 / len(priorities))

    def weights(self, probabilities: Tensor, size: int) -> Tensor:
        """1 for every drawn sample."""
        return torch.ones_like(probabilities)


@dataclass(frozen=True)
class Fixed:
    """Sampling by given probabilities, of samples that are added once and never leave."""

    shares: Tensor
    """`[n]`, summing to 1: of each sample, in the order in which they are added."""

    def probabilities(self, priorities: Tensor) -> Tensor:
        """The shares."""
        return self.shares

    def weights(self, probabilities: Tensor, size: int) -> Tensor:
        """1 for every drawn sample."""
        return torch.ones_like(probabilities)


@dataclass(frozen=True)
class Prioritised:
    """SSD-KD's δ: P_i = (|δ_i| + ε) / Σ(|δ| + ε), w_i = (N·P_i)^−β (after Schaul et al. 2016, section 3.3-3.4)."""

    beta: float
    epsilon: float = 1e-3

    def probabilities(self, priorities: Tensor) -> Tensor:
        """`[n]`, summing to 1."""
        raised = priorities + self.epsilon
        return raised / raised.sum()

    def weights(self, probabilities: Tensor, size: int) -> Tensor:
        """Importance weights, which correct the sampling bias fully for β = 1, from the samples' `probabilities`."""
        return (size * probabilities) ** -self.beta


DrawPolicy = Uniform | Fixed | Prioritised
