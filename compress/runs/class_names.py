"""Names of a teacher's classes where neither its card nor the user says them."""

from __future__ import annotations

from pathlib import Path

from compress.tasks.data.class_names import imagenet_names
from compress.tasks.models.checkpoint_class_names import class_names_beside

TWO_CLASSES = ("background", "object")
"""Of a binary segmenter, which has one output."""
NUMBERED = "no names are known"
"""Where numbers come from."""


def unsaid_names(task: str, outputs: int, weights: Path | None) -> tuple[tuple[str, ...], str]:
    """Names of the classes of so many outputs, and where they were found.

    They lie beside the weights, are ImageNet's for a classifier of as many, or are numbers.
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
