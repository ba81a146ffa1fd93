"""A small set of real images that the user collected, for the methods that need some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from compress.errors import UsageError
from compress.replay.buffer import Draw, ReplayBuffer
from compress.synthesis.inversion_loss import joined, labelled
from compress.task import Samples
from compress.training.compute import Compute
from compress.training.random_numbers import RandomNumbers

PIXELS = 256_000  # per teacher batch: 250 images of CIFAR-10
UNSEEN = 10  # every tenth image


@dataclass(frozen=True)
class Collected:
    """Real images uint8 `[n, 3, h, w]`."""

    images: Tensor
    labels: Tensor | None
    """Labels, long `[n]`; None if there are none."""
    unseen: Tensor | None = None
    """Further images that the student does not learn from: to compare it with its teacher on."""

    @classmethod
    def with_some_unseen(cls, images: Tensor) -> Collected:
        """Images without labels, of which every tenth is kept apart; of fewer than ten, none is."""
        apart = torch.arange(len(images)) % UNSEEN == UNSEEN - 1
        return cls(images[~apart], None, images[apart] if apart.any() else None)

    def __len__(self) -> int:
        return len(self.images)

    def require(self, batch: int) -> None:
        """Raise `UsageError` if there are not enough images to fill a batch without repeating one."""
        if len(self) < batch:
            raise UsageError(
                f"{len(self)} collected images are too few for a batch of {batch}: collect more, or lower the batch"
            )


def answered(collected: Collected, teacher: Callable[[Tensor], Tensor], compute: Compute) -> Samples:
    """All collected images as samples, with the teacher's statistics; without labels its predictions are the labels."""
    labels = collected.labels
    chunks = torch.split(torch.arange(len(collected)), max(PIXELS // collected.images[0, 0].numel(), 1))
    return joined(
        [
            labelled(
                teacher,
                compute.images(collected.images[at]),
                None if labels is None else labels[at].to(compute.device),
                compute,
            )
            for at in chunks
        ]
    )


class CollectedImages:
    """A source of samples that returns all collected images every round, in place of an inversion."""

    learning_rate_scale = 1.0
    micro_batches = 1

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """The same samples every round."""
        return self._samples, {}

    def renew(self, randomness: torch.Generator) -> bool:
        """See `Inversion`: there is no generator to restart."""
        return False

    def halve(self) -> bool:
        """See `Inversion`: a round takes no memory."""
        return False

    def notice(self) -> str | None:
        """See `Inversion`: there are no steps."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """There is no state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """There is no state."""


class InflatedBuffer:
    """HiDFD's data inflation: a collected image has `inflation` times the weight of a generated one.

    A batch holds the share `inflation·collected / (inflation·collected + capacity)` of real images. Both kinds
    are drawn uniformly. `capacity` is that of the buffer of generated samples, even while it is not full.
    """

    def __init__(self, collected: Collected, inflation: int, generated: ReplayBuffer, compute: Compute) -> None:
        self._generated, self._compute = generated, compute
        self._collected = collected.images.to(compute.home(collected.images.numel()))
        inflated = inflation * len(collected)
        self._share = inflated / (inflated + generated.capacity)

    def __len__(self) -> int:
        return len(self._generated)

    def add(self, samples: Samples) -> int:
        """Admit generated samples."""
        return self._generated.add(samples)

    def draw(self, n: int, numbers: RandomNumbers) -> Draw:
        """Real images first, then generated ones; the indices of each kind start at 0."""
        real = round(n * self._share)
        chosen = numbers.whole(0, len(self._collected), real)
        generated = self._generated.draw(n - real, numbers)
        return Draw(
            index=torch.cat([chosen, generated.index]),
            images=torch.cat([self._compute.rows(self._collected, chosen), generated.images]),
            weights=torch.cat([torch.ones_like(chosen, dtype=generated.weights.dtype), generated.weights]),
        )

    def refresh(self, drawn: Draw, divergence: Tensor, step_taken: Tensor) -> None:
        """Sampling is uniform, so losses are ignored."""

    def numbers(self) -> dict[str, float]:
        """The statistics of the generated samples."""
        return {name: value for name, value in self._generated.numbers().items() if name != "buffer_priority"}

    def state_dict(self) -> dict[str, Any]:
        """The generated samples. The collected ones are read from disk again."""
        return self._generated.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._generated.load_state_dict(state)
