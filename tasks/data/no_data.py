"""A placeholder for a data set in runs without data: classes and an image size, but no images."""

from __future__ import annotations

import torch

from compress.errors import UsageError

from .source import DataSource, LabelledImages

NO_DATA = "no-data"
"""The data's name in runs without data, also on the card of the student."""


def without_images(
    task: str,
    class_names: tuple[str, ...],
    image_shape: tuple[int, int, int],
    *,
    name: str = NO_DATA,
) -> DataSource:
    """A source of images `[3, h, w]` in these classes that has none, neither to train nor to score on."""
    empty = LabelledImages(torch.empty(0, *image_shape, dtype=torch.uint8), torch.empty(0, dtype=torch.long))
    return DataSource(
        name=name,
        task=task,
        class_names=class_names,
        image_shape=image_shape,
        image_size=min(image_shape[1:]),
        training=_no_training_data,
        held_out=lambda: empty,
    )


def _no_training_data() -> LabelledImages:
    raise UsageError("there is no training data: distillation needs none")
