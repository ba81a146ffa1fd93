"""Scores of teacher and student by class, and the student's confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from .pictures import shares_uri
from .record import Record
from .wording import metric_name

MOST_BARS = 40
MOST_CELLS = 20
"""Largest number of classes whose confusion matrix is a table; that of more is a picture."""
MISTAKES = 8


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The scores of one class; None if a network has none."""

    name: str
    teacher: float | None
    student: float | None


@dataclass(frozen=True, kw_only=True)
class Bars:
    """The scores of both networks by class."""

    title: str
    rows: Sequence[Bar]
    left_out: int
    """Number of classes that are not shown, for which the student scores higher."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A confusion of one class with another, as a share of the true class."""

    true: str
    predicted: str
    share: float


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """The confusion matrix: rows are true classes, columns predicted ones, cells shares of their row."""

    names: Sequence[str]
    rows: Sequence[Sequence[float]]
    """Empty if there are too many classes for a table."""
    picture: str
    """A data URI; empty if there is a table."""
    mistakes: Sequence[Mistake]


def bars(record: Record) -> list[Bars]:
    """The numbers by class of both networks, in the order of the classes, or the student's lowest of very many."""
    confusions = []
    for name, student in record.results["student"].items():
        if not isinstance(student, Mapping):
            continue
        teacher = record.results["teacher"].get(name, {})
        classes = [
            class_name for class_name in record.classes or student if class_name in student or class_name in teacher
        ]
        shown = classes
        if len(classes) > MOST_BARS:
            shown = sorted(classes, key=lambda class_name: student.get(class_name, 1.0))[:MOST_BARS]
        rows = [
            Bar(name=class_name, teacher=teacher.get(class_name), student=student.get(class_name))
            for class_name in shown
        ]
        confusions.append(Bars(title=metric_name(name), rows=rows, left_out=len(classes) - len(shown)))
    return confusions


def confusion(record: Record) -> Confusion | None:
    """The student's confusion matrix; None if its metric does not count one."""
    counted: Mapping[str, Mapping[str, int]] = record.results.get("confusion", {})
    if not counted:
        return None
    names = list(record.classes)
    places = {name: place for place, name in enumerate(names)}
    counts = torch.zeros(len(names), len(names))
    for true, answers in counted.items():
        for predicted, count in answers.items():
            counts[places[true], places[predicted]] = count
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    rows, picture = (shares.tolist(), "") if len(names) <= MOST_CELLS else ([], shares_uri(shares))
    return Confusion(names=names, rows=rows, picture=picture, mistakes=_worst(names, shares))


def _worst(names: Sequence[str], shares: torch.Tensor) -> list[Mistake]:
    """The largest shares off the diagonal."""
    wrong = shares.clone().fill_diagonal_(0).flatten()
    highest = wrong.topk(min(MISTAKES, len(wrong)))
    return [
        Mistake(true=names[place // len(names)], predicted=names[place % len(names)], share=share)
        for share, place in zip(highest.values.tolist(), highest.indices.tolist(), strict=True)
        if share > 0
    ]
