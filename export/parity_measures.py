"""The differences between a file's outputs and the network's, over one batch or many, and whether they pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .card import FileCard
from .reference_outputs import best_class, decided_classes, expected_answers
from .tolerance import Tolerance

COLUMNS = 200
"""Positions of an image at most that are looked at to tell the classes apart."""
MOST_SORTED = 100_000
MUCH_NEARER = 0.25
"""Of a squared distance: a class's answers that are so much nearer to another class's are that class's."""


@dataclass(frozen=True)
class Parity:
    """The comparison of one part of a file, or of the whole, at one input shape."""

    shape: tuple[int, ...]
    agreement: float
    """Share of equal decisions."""
    largest: float
    """Absolute difference of the scores, as are `mean` and `p99`."""
    mean: float
    p99: float
    passed: bool
    rounding: float = 0.0
    """How far torch itself is from float64, as a share of the largest score; 0 where that was not measured."""
    failure: str = ""
    """Why the file gave no comparable answer, or what is wrong with it besides the numbers."""
    part: str = "file"
    """What was compared: the whole `file`, the `network` in it, or what stands before and behind that."""

    def __str__(self) -> str:
        size = "x".join(map(str, self.shape))
        numbers = f"decisions {self.agreement:.2%}, difference {self.largest:.1e} (p99 {self.p99:.1e})"
        own = f", torch itself rounds by {self.rounding:.1e}" if self.rounding else ""
        part = "" if self.part == "file" else f"{self.part} "
        return f"{part}{size}: {self.failure or numbers + own}"

    @classmethod
    def failed(cls, shape: Sequence[int], why: str, part: str = "file") -> Parity:
        """The result for a part without a comparable output."""
        return cls(tuple(shape), 0.0, math.inf, math.inf, math.inf, passed=False, failure=why, part=part)


@dataclass(frozen=True)
class Measured:
    """The differences of some answers."""

    kept: float
    """Share of the decisions that the network makes, too, or misses by a near-tie."""
    agreement: float
    """Share of the decisions that are equal."""
    largest: float
    """Absolute difference of the scores, as are `mean` and `p99`."""
    mean: float
    p99: float
    scale: float
    """What differences are a share of."""
    count: int
    """Decisions."""

    @classmethod
    def of(cls, logits: Tensor, decisions: Tensor, difference: Tensor, scale: float, allowed: Tolerance) -> Measured:
        """For decisions `[n, *s]` of a file where the network has `logits [n, k, *s]`; `difference` is of any shape."""
        flat = difference.abs().flatten().double()
        return cls(
            kept=allowed.kept(logits, decisions),
            agreement=(decisions == best_class(logits)).double().mean().item(),
            largest=flat.max().item(),
            mean=flat.mean().item(),
            p99=_p99(flat),
            scale=scale,
            count=decisions.numel(),
        )

    @classmethod
    def together(cls, parts: Sequence[Measured]) -> Measured:
        """Of all batches; `p99` is that of the worst batch."""
        count = sum(part.count for part in parts)

        def mean(name: str) -> float:
            return float(sum(getattr(part, name) * part.count for part in parts)) / count

        def most(name: str) -> float:
            values = torch.tensor([getattr(part, name) for part in parts], dtype=torch.float64)
            return values.max().item()  # NaN wins, which Python's own max leaves to the order

        return cls(mean("kept"), mean("agreement"), most("largest"), mean("mean"), most("p99"), most("scale"), count)

    @property
    def share(self) -> float:
        """The largest difference as a share of the scale."""
        return self.largest / self.scale

    def verdict(self, shape: Sequence[int], passed: bool, rounding: float = 0.0, part: str = "file") -> Parity:
        """As one line of the comparison."""
        return Parity(tuple(shape), self.agreement, self.largest, self.mean, self.p99, passed, rounding, "", part)


def _p99(values: Tensor) -> float:
    """What 99 % of the values do not exceed; of very many, some are looked at."""
    some = values[:: max(len(values) // MOST_SORTED, 1)]
    return some.kthvalue(max(math.ceil(0.99 * len(some)), 1)).values.item()


def measure_answers(
    logits: Tensor, answers: dict[str, Tensor], card: FileCard, allowed: Tolerance
) -> tuple[Measured, Tensor]:
    """A file's outputs against the network's `logits [n, k, *s]`: the numbers, and each image's difference `[n]`.

    Raises `ValueError` if an output has not the shape that it should have.
    """
    expected = expected_answers(logits, card)
    for name, values in expected.items():
        if answers[name].shape != values.shape:
            raise ValueError(f"{name} has shape {list(answers[name].shape)}")
    scores = next(name for name in expected if name != "classes")
    difference = answers[scores] - expected[scores]
    scale = spread(logits) if scores == "logits" else max(expected[scores].abs().max().item(), 1e-12)
    return Measured.of(logits, decided_classes(answers, card), difference, scale, allowed), by_image(difference)


def by_image(difference: Tensor) -> Tensor:
    """The largest difference of each image, `[n]` of `[n, ...]`; what is NaN differs most."""
    return difference.abs().flatten(1).amax(dim=1).nan_to_num(nan=math.inf)


def spread(logits: Tensor) -> float:
    """The largest distance of logits `[n, k, *s]` from their mean over the classes, which decides the argmax."""
    lies = (logits - logits.mean(dim=1, keepdim=True)).abs().max().item()
    return max(lies, 1e-6 * logits.abs().max().item(), 1e-12)


def some_positions(logits: Tensor) -> Tensor:
    """Logits `[n, k, *s]` of some positions of each image, evenly spread, as rows `[m, k]`."""
    rows = logits.flatten(2).movedim(1, 2) if logits.ndim > 2 else logits.unsqueeze(1)
    chosen = torch.linspace(0, rows.shape[1] - 1, min(COLUMNS, rows.shape[1])).long()
    return rows[:, chosen].flatten(0, 1)


def exchanged(expected: Tensor, actual: Tensor) -> list[tuple[int, int]]:
    """Classes whose answers in a file are those of another class, with that class; both tensors are logits `[m, k]`.

    Small errors of any size leave a class nearest to itself: this finds two of a thousand classes in the wrong order
    where rounding to eight bits hides all else.
    """
    expected, actual = (logits.double() - logits.double().mean(dim=0) for logits in (expected, actual))
    squares = (actual**2).sum(dim=0)[:, None] + (expected**2).sum(dim=0)[None]
    distances = (squares - 2 * actual.T @ expected).clamp(min=0)
    own = distances.diag().clone()
    nearest = distances.fill_diagonal_(math.inf).min(dim=1)
    wrong = nearest.values < MUCH_NEARER * own - 1e-9 * squares.max()
    return [(k, int(nearest.indices[k])) for k in wrong.nonzero().flatten().tolist()]
