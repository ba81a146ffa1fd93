"""Photographs of anything beside synthetic samples: a transfer set, chosen by what the teacher sees in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from compress.gan.collected import Collected, answered
from compress.gan.curation import draw_shares
from compress.replay.balance import evenness
from compress.replay.buffer import Draw, ReplayBuffer
from compress.task import Samples
from compress.training.compute import Compute
from compress.training.random_numbers import RandomNumbers


class TransferSet:
    """Collected images, drawn with the probabilities of `draw_shares`."""

    def __init__(
        self,
        collected: Collected,
        teacher: Callable[[Tensor], Tensor],
        compute: Compute,
        *,
        even: bool = True,
        confident: float = 1.0,
    ) -> None:
        statistics = answered(collected, teacher, compute).statistics
        shares = draw_shares(statistics, even=even, confident=confident)
        drawn = shares.nonzero().flatten()  # the others take no memory
        images = collected.images[drawn.cpu()]
        self._images, self._compute = images.to(compute.home(images.numel())), compute
        self._cumulative = shares[drawn].double().cumsum(0)
        self.evenness = evenness(statistics.histogram.mean(dim=0)).item()
        """Of the classes that the teacher sees, before draws even them out."""

    def draw(self, n: int, numbers: RandomNumbers) -> Tensor:
        """`n` images uint8 `[n, 3, h, w]` with replacement."""
        points = numbers.uniform(n) * self._cumulative[-1]
        index = torch.searchsorted(self._cumulative, points).clamp(max=len(self._images) - 1)
        return self._compute.rows(self._images, index)


class BufferBesideTransferSet:
    """A buffer of synthetic samples whose batches hold a share of a transfer set.

    The images of either kind are spread over the batch, so that the parts of a batch that several workers take, or that
    a lack of memory makes, hold the same share.
    """

    def __init__(
        self, buffer: ReplayBuffer, transfer_set: TransferSet, share: float, batch: int, compute: Compute
    ) -> None:
        self._buffer, self._transfer_set = buffer, transfer_set
        self._collected = round(batch * share)
        before = torch.arange(batch + 1) * self._collected // batch  # of each place, how many are collected
        is_collected = before[1:] > before[:-1]
        self._synthetic = (~is_collected).nonzero().flatten().to(compute.device)
        self._places = torch.cat([is_collected.nonzero().flatten(), (~is_collected).nonzero().flatten()])
        self._places = self._places.argsort().to(compute.device)

    def __len__(self) -> int:
        return len(self._buffer)

    def add(self, samples: Samples) -> int:
        """Admit synthetic samples."""
        return self._buffer.add(samples)

    def draw(self, n: int, numbers: RandomNumbers) -> Draw:
        """A batch, of the size that the buffer was made for; collected images have the index 0 and the weight 1."""
        collected = self._transfer_set.draw(self._collected, numbers)
        synthetic = self._buffer.draw(n - self._collected, numbers)
        index, weights = synthetic.index.new_zeros(len(collected)), synthetic.weights.new_ones(len(collected))
        return Draw(
            index=torch.cat([index, synthetic.index])[self._places],
            images=torch.cat([collected, synthetic.images])[self._places],
            weights=torch.cat([weights, synthetic.weights])[self._places],
        )

    def refresh(self, drawn: Draw, divergence: Tensor, step_taken: Tensor) -> None:
        """Pass on the losses of the synthetic samples."""
        at = self._synthetic
        synthetic = Draw(index=drawn.index[at], images=drawn.images[at], weights=drawn.weights[at])
        self._buffer.refresh(synthetic, divergence[at], step_taken)

    def numbers(self) -> dict[str, float]:
        """The statistics of the synthetic samples, and the evenness of the transfer set before draws even it out."""
        return {**self._buffer.numbers(), "collected_evenness": self._transfer_set.evenness}

    def state_dict(self) -> dict[str, Any]:
        """The synthetic samples. The collected ones are read from disk again."""
        return self._buffer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._buffer.load_state_dict(state)
