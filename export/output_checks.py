"""Validation of a file's outputs: shapes, class indices, NaN and Inf. Without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .card import FileCard

Array = NDArray[Any]


def complaint_of(answer: Mapping[str, Array], card: FileCard, count: int) -> str:
    """What is wrong with a file's outputs by name for `count` images; empty if they are valid.

    Classes must be indices of the card's classes, scores must be finite, and both must have the shape of the task.
    """
    names = len(card.class_names)
    scores = next(values for name, values in answer.items() if name != "classes")
    if scores.dtype.kind != "f":
        return f"returns scores of type {scores.dtype}, not floating point"
    decided = "classes" in answer
    usual = {"classification": 2, "segmentation": 3 if decided else 4}
    axes = usual.get(card.task, scores.ndim)
    if decided:
        return _complaint_of_classes(answer["classes"], scores, axes, names, count)
    if scores.ndim != axes or scores.shape[:2] != (count, names) or not scores.size:
        return f"returns the shape {list(scores.shape)} for {count} images, which does not fit its {names} classes"
    return _complaint_of_numbers(scores)


def _complaint_of_classes(classes: Array, scores: Array, axes: int, names: int, count: int) -> str:
    if classes.dtype.kind not in "iu":
        return f"returns classes of type {classes.dtype}, not integers"
    if classes.shape != scores.shape or classes.ndim != axes or len(classes) != count:
        return f"returns the shape {list(classes.shape)} for {count} images, which does not fit its {names} classes"
    if not classes.size or not 0 <= int(classes.min()) <= int(classes.max()) < names:
        return f"returns classes that are not among its {names} classes"
    return _complaint_of_numbers(scores)


def _complaint_of_numbers(scores: Array) -> str:
    return "" if np.isfinite(scores).all() else "returns NaN or infinity"
