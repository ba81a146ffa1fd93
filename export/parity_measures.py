"""Differences between a file's outputs and the network's, over one batch or many, and whether they pass."""

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
"""Most positions of an image that are compared to find exchanged classes."""
MOST_SORTED = 100_000
MUCH_NEARER = 0.25
"""A class counts as exchanged if its squared distance to another class is below this share of that to itself."""


@dataclass(frozen=True, kw_only=True)
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
    """Difference of torch's float32 from float64, as a share of the largest score; 0 if it was not measured."""
    failure: str = ""
    """Why the outputs cannot be compared, or an error other than the differences."""
    part: str = "file"
    """What was compared: the whole `file`, the `network` in it, its `preprocessing` or its `answers`."""

    def __str__(self) -> str:
        size = "x".join(map(str, self.shape))
        numbers = f"decisions {self.agreement:.2%}, difference {self.largest:.1e} (p99 {self.p99:.1e})"
        own = f", torch itself rounds by {self.rounding:.1e}" if self.rounding else ""
        part = "" if self.part == "file" else f"{self.part} "
        return f"{part}{size}: {self.failure or numbers + own}"

    @classmethod
    def failed(cls, shape: Sequence[int], why: str, part: str = "file") -> Parity:
        """The result for a part without a comparable output."""
        return cls(
            shape=tuple(shape),
            agreement=0.0,
            largest=math.inf,
            mean=math.inf,
            p99=math.inf,
            passed=False,
            failure=why,
            part=part,
        )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Differences measured on a batch or on several."""

    kept: float
    """Share of decisions that are equal to the network's or differ by a near-tie only."""
    agreement: float
    """Share of equal decisions."""
    largest: float
    """Absolute difference of the scores, as are `mean` and `p99`."""
    mean: float
    p99: float
    scale: float
    """The number by which differences are divided for `share`."""
    count: int
    """Number of decisions."""

    @classmethod
    def of(cls, logits: Tensor, decisions: Tensor, difference: Tensor, scale: float, allowed: Tolerance) -> Measured:
        """Measure decisions `[n, *s]` of a file against the network's `logits [n, k, *s]`, and a difference of any
        shape."""
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
        """The measures over several batches; `p99` is that of the worst batch."""
        count = sum(part.count for part in parts)

        def mean(name: str) -> float:
            return float(sum(getattr(part, name) * part.count for part in parts)) / count

        def most(name: str) -> float:
            values = torch.tensor([getattr(part, name) for part in parts], dtype=torch.float64)
            return values.max().item()  # torch returns NaN if there is one; Python's max depends on the order

        return cls(
            kept=mean("kept"),
            agreement=mean("agreement"),
            largest=most("largest"),
            mean=mean("mean"),
            p99=most("p99"),
            scale=most("scale"),
            count=count,
        )

    @property
    def share(self) -> float:
        """The largest difference as a share of the scale."""
        return self.largest / self.scale

    def verdict(self, shape: Sequence[int], passed: bool, rounding: float = 0.0, part: str = "file") -> Parity:
        """The result as one line of the comparison."""
        return Parity(
            shape=tuple(shape),
            agreement=self.agreement,
            largest=self.largest,
            mean=self.mean,
            p99=self.p99,
            passed=passed,
            rounding=rounding,
            part=part,
        )


def _p99(values: Tensor) -> float:
    """The 99th percentile; of very many values, an even selection is sorted."""
    selected = values[:: max(len(values) // MOST_SORTED, 1)]
    return selected.kthvalue(max(math.ceil(0.99 * len(selected)), 1)).values.item()


def measure_answers(
    logits: Tensor, answers: dict[str, Tensor], card: FileCard, allowed: Tolerance
) -> tuple[Measured, Tensor]:
    """Measure a file's outputs against the network's `logits [n, k, *s]`; also each image's largest difference `[n]`.

    Raises `ValueError` if an output has the wrong shape.
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
    """The largest difference of each image, `[n, ...] -> [n]`; infinity for NaN."""
    return difference.abs().flatten(1).amax(dim=1).nan_to_num(nan=math.inf)


def spread(logits: Tensor) -> float:
    """The largest distance of logits `[n, k, *s]` from their mean over the classes, since the mean moves no argmax."""
    distance = (logits - logits.mean(dim=1, keepdim=True)).abs().max().item()
    return max(distance, 1e-6 * logits.abs().max().item(), 1e-12)


def some_positions(logits: Tensor) -> Tensor:
    """Logits `[n, k, *s]` of evenly selected positions of each image, as rows `[m, k]`."""
    rows = logits.flatten(2).movedim(1, 2) if logits.ndim > 2 else logits.unsqueeze(1)
    chosen = torch.linspace(0, rows.shape[1] - 1, min(COLUMNS, rows.shape[1])).long()
    return rows[:, chosen].flatten(0, 1)


def exchanged(expected: Tensor, actual: Tensor) -> list[tuple[int, int]]:
    """Pairs of a class and the class whose logits it has in the file; both tensors are logits `[m, k]`.

    With rounding errors alone, a class stays nearest to itself. So this finds two of a thousand classes in the wrong
    order, even where rounding to eight bits hides it from all other measures.
    """
    expected, actual = (logits.double() - logits.double().mean(dim=0) for logits in (expected, actual))
    squares = (actual**2).sum(dim=0)[:, None] + (expected**2).sum(dim=0)[None]
    distances = (squares - 2 * actual.T @ expected).clamp(min=0)
    own = distances.diag().clone()
    nearest = distances.fill_diagonal_(math.inf).min(dim=1)
    wrong = nearest.values < MUCH_NEARER * own - 1e-9 * squares.max()
    return [(k, int(nearest.indices[k])) for k in wrong.nonzero().flatten().tolist()]
