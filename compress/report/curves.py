"""Curves over the rounds, as small multiples for SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .wording import number

WIDTH, HEIGHT = 260, 90
"""Of the drawing, in its own units; the page scales it."""
MOST_POINTS = 200
LOGARITHMIC_FROM = 30  # ratio of the largest to the smallest value above which the axis is logarithmic

SHARE, LOSS = "share", "loss"
GROUPS = (
    "Signs that need no data", "What the samples are held to", "What the student learns", "What the buffer holds",
)  # fmt: skip
KNOWN: Mapping[str, tuple[int, str, str, str]] = {
    "evenness": (0, SHARE, "Evenness", "of the classes that the teacher sees in new samples, 1 if all are as frequent"),
    "bn_distance": (0, LOSS, "Distance", "of new samples to the statistics of the teacher’s batch normalisation"),
    "answer_spread": (0, LOSS, "Spread", "of the teacher’s mean answer over the batches of a round"),
    "one_hot": (1, LOSS, "One-hot loss", "cross-entropy of the teacher to what was asked for"),
    "bn": (1, LOSS, "Statistics", "distance to those of the teacher’s batch normalisation"),
    "adversarial": (1, LOSS, "Adversarial", "the student’s disagreement that samples seek, negative"),
    "disagreement": (1, LOSS, "Disagreement", "divergence of student and teacher that samples seek, negative"),
    "competition": (1, LOSS, "Competition", "divergence of student and teacher that samples seek, negative"),
    "logit_distance": (1, LOSS, "Logit distance", "between student and teacher, sought by samples, negative"),
    "activation": (1, LOSS, "Activation", "strength of the teacher’s last features, negative"),
    "balance": (1, LOSS, "Class balance", "of a round’s samples: least when classes are even"),
    "variation": (1, LOSS, "Variation", "between neighbouring pixels"),
    "instance": (1, LOSS, "Instances", "how hard images are to tell from one another"),
    "patch_entropy": (1, LOSS, "Patch entropy", "variety of the similarities of patches in the teacher, negative"),
    "recognised": (1, SHARE, "Recognised", "samples in which the teacher sees what they were made for"),
    "confidence": (1, SHARE, "Teacher’s confidence", "its largest probability, on new samples"),
    "variety": (1, LOSS, "Variety", "how much a pixel differs from sample to sample, of its range"),
    "kl": (2, LOSS, "Distillation loss", "divergence of the student’s answers from the teacher’s"),
    "l1": (2, LOSS, "Distillation loss", "distance of the student’s logits from the teacher’s"),
    "alignment": (2, LOSS, "Alignment", "distance of the student’s features from the teacher’s"),
    "hints": (2, LOSS, "Hints", "distance of the student’s feature maps from the teacher’s"),
    "agreement": (2, SHARE, "Agreement", "same answer as the teacher, on the samples drawn"),
    "majority": (
        2,
        SHARE,
        "Most frequent class",
        "its share of the teacher’s answers: an agreement no higher is chance",
    ),
    "standstill": (2, SHARE, "Standstill", "1 where the student has agreed with its teacher by chance only for long"),
    "skipped": (2, LOSS, "Skipped", "steps of either half whose losses were no numbers"),
    "collapsed": (1, SHARE, "Collapsed", "1 where a generator was found to make one picture or one class"),
    "admitted": (3, SHARE, "Admitted", "new samples that entered the buffer"),
    "buffer_evenness": (3, SHARE, "Class evenness", "1 when the buffer holds all classes alike"),
    "collected_evenness": (3, SHARE, "Evenness of the photographs", "of the classes that the teacher sees in them"),
    "buffer_priority": (3, LOSS, "Mean priority", "of samples that were drawn at least once"),
    "buffer_age": (3, LOSS, "Median age", "of the samples held, in rounds"),
}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One small plot: its title, description, axis and line."""

    title: str
    meaning: str
    first: str
    last: str
    low: str
    high: str
    line: str
    """Points of an SVG polyline."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Plots that belong together."""

    title: str
    curves: Sequence[Curve]
    unchanging: Sequence[str]
    """Constant quantities, as text instead of a flat line."""


def groups(history: Sequence[Mapping[str, float]], meanings: Mapping[str, str] | None = None) -> list[Group]:
    """All numbers of a run except the round index; empty groups are left out.

    `meanings` explain the loss terms that installed methods define.
    """
    names = list(dict.fromkeys(name for row in history for name in row if name != "round"))
    names.sort(key=lambda name: list(KNOWN).index(name) if name in KNOWN else -1)
    groups = []
    for index, title in enumerate(GROUPS):
        curves, unchanging = [], []
        for name in names:
            place, kind, label, meaning = KNOWN.get(
                name, (1, LOSS, name.replace("_", " "), (meanings or {}).get(name) or "mean over the round")
            )
            points = [(row["round"], row[name]) for row in history if math.isfinite(row.get(name, math.nan))]
            if place != index or not points:
                continue
            if len({value for _, value in points}) == 1 < len(points):
                unchanging.append(f"{label} ({meaning}) stayed at {number(points[0][1])}")
            else:
                curves.append(_curve(label, meaning, kind, points, history[-1]["round"]))
        if curves or unchanging:
            groups.append(Group(title=title, curves=curves, unchanging=unchanging))
    return groups


def _curve(title: str, meaning: str, kind: str, points: Sequence[tuple[float, float]], end: float) -> Curve:
    thinned = _thinned(points)
    values = [value for _, value in thinned]
    low, high, logarithmic = _axis(values, kind)
    if logarithmic:
        meaning += "; logarithmic axis"
    if len(thinned) < len(points):
        meaning += f"; means of {math.ceil(len(points) / MOST_POINTS)} rounds"
    span, places = (math.log(high / low) if logarithmic else high - low), []
    for turn, value in thinned if len(thinned) > 1 else thinned * 2:  # a single point is drawn as a dot
        rise = math.log(value / low) if logarithmic else value - low
        places.append(f"{turn / max(end, 1) * WIDTH:.1f},{HEIGHT * (1 - rise / span):.1f}")
    first, last = number(points[0][1]), number(points[-1][1])
    return Curve(
        title=title, meaning=meaning, first=first, last=last, low=number(low), high=number(high), line=" ".join(places)
    )


def _axis(values: Sequence[float], kind: str) -> tuple[float, float, bool]:
    """Lowest and highest value that is shown, and whether the axis is logarithmic; shares have one axis for all."""
    low, high = min(values), max(values)
    if kind == SHARE and low >= 0 and high <= 1:
        return 0.0, 1.0, False
    if low > 0 and high / low > LOGARITHMIC_FROM:
        return low, high, True
    low, high = min(low, 0.0), max(high, 0.0)
    return low, high if high > low else low + 1, False


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `MOST_POINTS`: means of as many neighbours as that takes."""
    size = math.ceil(len(points) / MOST_POINTS)
    chunks = [points[at : at + size] for at in range(0, len(points), size)]
    return [(sum(x for x, _ in chunk) / len(chunk), sum(y for _, y in chunk) / len(chunk)) for chunk in chunks]
