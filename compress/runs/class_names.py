"""Names of a teacher's classes where neither its card nor the user gives any."""

from __future__ import annotations

from pathlib import Path

from compress.tasks.data.class_names import imagenet_names
from compress.tasks.models.checkpoint_class_names import class_names_beside

TWO_CLASSES = ("background", "object")
"""Class names of a binary segmenter, which has one output."""
NUMBERED = "no names are known"
"""The origin of names that are only numbers."""


def default_class_names(task: str, outputs: int, weights: Path | None) -> tuple[tuple[str, ...], str]:
    """Class names for a number of outputs, and their origin in words.

    They are the names stored beside the weights, ImageNet's for a classifier of as many classes, or numbers.
    """
    count = 2 if outputs == 1 else outputs
    beside = class_names_beside(weights, count) if weights is not None else None
    if beside:
        return beside, "the names in its file"
    if outputs == 1:
        return TWO_CLASSES, "those of a binary segmenter"
    imagenet = imagenet_names(count) if task == "classification" else ()
    if len(imagenet) == count:
        return imagenet, "ImageNet's, by their number"
    return tuple(f"class {index}" for index in range(count)), NUMBERED
