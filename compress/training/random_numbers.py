"""Random numbers on the compute device: drawn ahead by the processor, the same ones for every device."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

LARGEST_SEED = 2**62


def new_seed(randomness: torch.Generator) -> int:
    """A seed for `RandomNumbers`, drawn from the run's generator."""
    return int(torch.randint(LARGEST_SEED, (), generator=randomness))


class Numbers(ABC):
    """Random numbers on the compute device, handed out in order."""

    @abstractmethod
    def uniform(self, *shape: int) -> Tensor:
        """Float64 numbers in [0, 1) of this shape, on the device."""

    def whole(self, low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers from `low` to below `high`, long."""
        return (self.uniform(*shape) * (high - low)).long() + low

    def normal(self, *shape: int) -> Tensor:
        """Float32 numbers of mean 0 and deviation 1."""
        centred = 2 * self.uniform(*shape).clamp(min=2.0**-54) - 1
        return (torch.erfinv(centred) * math.sqrt(2)).float()


class StepNumbers(Numbers):
    """The uniform numbers `[n]` of one step: an input of it, so that a recorded step gets new ones."""

    def __init__(self, drawn: Tensor) -> None:
        self._drawn, self._next = drawn, 0

    def uniform(self, *shape: int) -> Tensor:
        """See `Numbers`."""
        start, self._next = self._next, self._next + math.prod(shape)
        return self._drawn[start : self._next].view(shape)


class RandomNumbers(Numbers):
    """Uniform numbers that follow from a seed, handed out in order.

    The processor draws them, so that a seed means the same on every device. On an accelerator they are sent `ahead`
    numbers at a time: what asks for one then neither copies nor waits. `used` of them are passed over, to continue.
    """

    def __init__(self, seed: int, device: torch.device, *, ahead: int = 1 << 14, used: int = 0) -> None:
        self.seed, self._device = seed, device
        self._generator = torch.Generator().manual_seed(seed)
        self._ahead = 0 if device.type == "cpu" else ahead
        self._block, self._next = torch.empty(0, dtype=torch.float64, device=device), 0
        self.used = used
        """How many were handed out, those passed over too."""
        self._draw(used)
        if self._ahead:
            self._fetch(self._ahead)

    @classmethod
    def of(cls, randomness: torch.Generator, device: torch.device, ahead: int = 1 << 14) -> RandomNumbers:
        """New ones, with a seed that the run's generator draws."""
        return cls(new_seed(randomness), device, ahead=ahead)

    def uniform(self, *shape: int) -> Tensor:
        """See `Numbers`."""
        count = math.prod(shape)
        if self._next + count > len(self._block):
            self._fetch(max(count - len(self._block) + self._next, self._ahead))
        numbers = self._block[self._next : self._next + count].view(shape)
        self._next += count
        self.used += count
        return numbers

    def _fetch(self, count: int) -> None:
        """Have so many more at hand."""
        left = self._block[self._next :]
        self._block, self._next = torch.cat([left, _sent(self._draw(count), self._device)]), 0

    def _draw(self, count: int) -> Tensor:
        return torch.rand(count, generator=self._generator, dtype=torch.float64)


def _sent(numbers: Tensor, device: torch.device) -> Tensor:
    """To a GPU from memory that it reads by itself: the processor goes on meanwhile."""
    if device.type == "cuda":
        return numbers.pin_memory().to(device, non_blocking=True)
    return numbers.to(device)
