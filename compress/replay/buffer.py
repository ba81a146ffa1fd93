"""The replay buffer: a bounded set of synthetic samples in memory, with the statistics that its policies need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from compress.replay.balance import evenness
from compress.replay.policies import DrawPolicy, Keep
from compress.task import Samples, Statistics
from compress.training.compute import Compute
from compress.training.random_numbers import RandomNumbers


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Samples drawn for one distillation step."""

    index: Tensor
    """`[n]`: their indices in the buffer."""
    images: Tensor
    """uint8 `[n, 3, h, w]`."""
    weights: Tensor
    """`[n]`: importance-sampling weights, all 1 for a uniform draw."""


LEVELS = 255  # resolution of the stored class shares
BLOCK = 65_536  # samples scored at once, which bounds the memory of scoring millions


class Buffer(Protocol):
    """The interface of a buffer that keeps and draws a distiller's samples."""

    def add(self, samples: Samples) -> int:
        """Admit new samples; returns how many of them are kept."""

    def draw(self, n: int, numbers: RandomNumbers) -> Draw:
        """`n` samples for one step."""

    def refresh(self, drawn: Draw, divergence: Tensor, step_taken: Tensor) -> None:
        """Receive the loss `[n]` of drawn samples. Ignore it unless the step was taken (`taken []`): it may be NaN."""

    def numbers(self) -> dict[str, float]:
        """Statistics of the buffer for the run's history; empty before the first sample."""

    def state_dict(self) -> dict[str, Any]:
        """All that the buffer holds."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""


class ReplayBuffer:
    """At most `capacity` samples. `keep` scores which are kept, `draw_policy` which are drawn.

    All lies on the compute device, so that a step neither copies nor waits; images that would take more than a share
    of an accelerator's memory stay in the processor's. They are one uint8 tensor that is allocated once; adding writes
    over the places of those that left. Class histograms are held in 255ths: with a hundred classes they would else
    take an eighth of the images' memory.
    """

    def __init__(self, capacity: int, keep: Keep, draw_policy: DrawPolicy, compute: Compute) -> None:
        self.capacity = capacity
        self._keep = keep
        self._draw_policy = draw_policy
        self._compute = compute
        self._size = 0
        self._arrivals = self._newcomers = 0
        device = compute.device
        self._images = torch.empty(0, dtype=torch.uint8)
        self._confidence = torch.zeros(capacity, device=device)
        self._histogram = torch.zeros(capacity, 0, dtype=torch.uint8, device=device)
        self._counts = torch.zeros(0, dtype=torch.long, device=device)
        self._arrival = torch.zeros(capacity, dtype=torch.long, device=device)
        self._priority = torch.zeros(capacity, device=device)
        self._weight = torch.ones(capacity, device=device)
        self._draws = torch.zeros(capacity, dtype=torch.int32, device=device)

    def __len__(self) -> int:
        return self._size

    @property
    def class_share(self) -> Tensor:
        """Share of each class in the buffer `[k]`; empty before the first sample."""
        return self._counts / self._counts.sum()

    def add(self, samples: Samples) -> int:
        """Keep the samples that `keep` scores highest among old and new; returns how many of the new are kept."""
        device = self._compute.device
        if not self._size:
            home = self._compute.home(self.capacity * samples.images[0].numel())
            self._images = torch.empty(self.capacity, *samples.images.shape[1:], dtype=torch.uint8, device=home)
            classes = samples.statistics.histogram.shape[1]
            self._histogram = torch.zeros(self.capacity, classes, dtype=torch.uint8, device=device)
            self._counts = torch.zeros(classes, dtype=torch.long, device=device)
        count = len(samples.images)
        arrival = torch.arange(self._arrivals, self._arrivals + count, device=device)
        histogram = samples.statistics.histogram.mul(LEVELS).round().to(torch.uint8)
        self._arrivals, self._newcomers = self._arrivals + count, count
        admitted, places = self._admit(samples.statistics.confidence, histogram, arrival)
        self._counts += histogram[admitted].sum(dim=0) - self._histogram[places].sum(dim=0)
        self._store(places, samples.images[admitted])
        self._confidence[places] = samples.statistics.confidence[admitted]
        self._histogram[places] = histogram[admitted]
        self._arrival[places] = arrival[admitted]
        held = self._priority[: self._size]
        self._priority[places] = held.max().clamp(min=1.0) if len(held) else torch.ones((), device=device)
        self._weight[places] = 1.0
        self._draws[places] = 0
        self._size = min(self._size + len(places), self.capacity) if self._size < self.capacity else self._size
        return len(places)

    def _store(self, places: Tensor, images: Tensor) -> None:
        home = self._images.device
        self._images[places.to(home)] = images.to(home)

    def _admit(self, confidence: Tensor, histogram: Tensor, arrival: Tensor) -> tuple[Tensor, Tensor]:
        """Which of the new samples are kept, and their indices: those of the lowest scores, then free ones."""
        counts = self._counts + histogram.sum(dim=0)
        held = slice(self._size)
        columns = [torch.split(column[held], BLOCK) for column in (self._confidence, self._histogram, self._arrival)]
        blocks = [*zip(*columns, strict=True), (confidence, histogram, arrival)]
        scores = torch.cat(
            [self._keep(Statistics(p, h.float().div(LEVELS)), a, counts / counts.sum()) for p, h, a in blocks]
        )
        leaving = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
        surplus = max(len(scores) - self.capacity, 0)
        leaving[scores.argsort(stable=True)[:surplus]] = True
        admitted = (~leaving[self._size :]).nonzero().flatten()
        vacated = leaving[: self._size].nonzero().flatten()
        free = torch.arange(self._size, self.capacity, device=scores.device)[: len(admitted) - len(vacated)]
        return admitted, torch.cat([vacated, free])

    def draw(self, n: int, numbers: RandomNumbers) -> Draw:
        """`n` samples with replacement."""
        probabilities = self._draw_policy.probabilities(self._priority[: self._size])
        cumulative = probabilities.double().cumsum(0)
        points = numbers.uniform(n) * cumulative[-1]
        index = torch.searchsorted(cumulative, points).clamp(max=self._size - 1)
        weights = self._draw_policy.weights(probabilities[index], self._size)
        self._draws.index_add_(0, index, torch.ones_like(index, dtype=torch.int32))
        return Draw(index=index, images=self._compute.rows(self._images, index), weights=weights)

    def refresh(self, drawn: Draw, divergence: Tensor, step_taken: Tensor) -> None:
        """Set the priorities of drawn samples: δ_i = w_{i−1}·KL_i, with w_{i−1} of the sample's previous draw."""
        before, weight = self._priority[drawn.index], self._weight[drawn.index]
        self._priority[drawn.index] = torch.where(step_taken, (weight * divergence.detach()).abs(), before)
        self._weight[drawn.index] = torch.where(step_taken, drawn.weights, weight)

    def numbers(self) -> dict[str, float]:
        """Class evenness, median age in rounds, and the mean priority of samples that were drawn at least once.

        New samples have the highest priority until they are drawn, so including them would hide the trend.
        """
        if not self._size:
            return {}
        age = (self._arrivals - 1 - self._arrival[: self._size]) // self._newcomers
        drawn, priority = self._draws[: self._size] > 0, self._priority[: self._size]
        mean = (priority * drawn).sum() / drawn.sum().clamp(min=1)
        told = torch.stack([evenness(self.class_share), age.median().float(), mean, drawn.any().float()]).tolist()
        numbers = {"buffer_evenness": told[0], "buffer_age": told[1]}
        return numbers | ({"buffer_priority": told[2]} if told[3] else {})

    def state_dict(self) -> dict[str, Any]:
        """All that the buffer holds."""
        held = slice(self._size)
        tensors = {name: getattr(self, f"_{name}")[held].clone() for name in _COLUMNS}
        return {"arrivals": self._arrivals, "newcomers": self._newcomers, **tensors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        if not len(state["images"]):
            return  # nothing is stored yet, and the shape of the images is unknown
        self._size, self._arrivals = len(state["images"]), state["arrivals"]
        self._newcomers = state["newcomers"]
        for name in _COLUMNS:
            kept = state[name]
            home = self._compute.home(self.capacity * kept[0].numel()) if name == "images" else self._compute.device
            column = torch.zeros(self.capacity, *kept.shape[1:], dtype=kept.dtype, device=home)
            column[: self._size] = kept.to(home)
            setattr(self, f"_{name}", column)
        self._counts = self._histogram.sum(dim=0)


_COLUMNS = ("images", "confidence", "histogram", "arrival", "priority", "weight", "draws")
