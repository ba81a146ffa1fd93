"""Validation of a file's outputs: shapes, class indices, NaN and Inf. Without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .card import FileCard

Array = NDArray[Any]


def complaint_of(answer: Mapping[str, Array], card: FileCard, count: int) -> str:
    """What is wrong with a file's outputs by name for `count` images; empty if nothing is.

    Classes are whole numbers that the card names, scores finite numbers, all of the shape that its task has.
    """
    names = len(card.class_names)
    scores = next(values for name, values in answer.items() if name != "classes")
    if scores.dtype.kind != "f":
        return f"answers with scores of type {scores.dtype}, which are no numbers"
    decided = "classes" in answer
    usual = {"classification": 2, "segmentation": 3 if decided else 4}
    axes = usual.get(card.task, scores.ndim)
    if decided:
        return _complaint_of_classes(answer["classes"], scores, axes, names, count)
    if scores.ndim != axes or scores.shape[:2] != (count, names) or not scores.size:
        return f"answers {count} images with {list(scores.shape)}, which is not of its {names} classes"
    return _complaint_of_numbers(scores)


def _complaint_of_classes(classes: Array, scores: Array, axes: int, names: int, count: int) -> str:
    if classes.dtype.kind not in "iu":
        return f"answers with classes of type {classes.dtype}, which number nothing"
    if classes.shape != scores.shape or classes.ndim != axes or len(classes) != count:
        return f"answers {count} images with {list(classes.shape)}, which is not of its {names} classes"
    if not classes.size or not 0 <= int(classes.min()) <= int(classes.max()) < names:
        return f"answers with classes that are not among its {names} classes"
    return _complaint_of_numbers(scores)


def _complaint_of_numbers(scores: Array) -> str:
    return "" if np.isfinite(scores).all() else "answers with NaN or infinity"
