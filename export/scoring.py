"""An ONNX file as a replacement for a torch module in the metrics."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from compress.task import TaskSpec

from .card import FileCard
from .runtime import Array


class Runnable(Protocol):
    """A file opened in onnxruntime or another runtime."""

    card: FileCard

    def as_input(self, images: Array) -> Array:
        """Images float32 `[n, 3, h, w]` in [0, 1] as the file's own input."""

    def run(self, images: Array) -> dict[str, Array]:
        """The file's outputs by name for one batch of its own input."""


class OnnxScores:
    """A file as a function from images `[n, 3, h, w]` in [0, 1] to scores `[n, k, *s]` that metrics take as logits."""

    def __init__(self, model: Runnable) -> None:
        self._model = model

    def __call__(self, images: Tensor) -> Tensor:
        """Logits or probabilities. For decisions: a classifier's scores with 0 for other classes, or one-hot maps."""
        outputs = answers(self._model, images)
        if "classes" not in outputs:
            return next(iter(outputs.values()))
        classes, count = outputs["classes"].long(), len(self._model.card.class_names)
        if self._model.card.task == "classification":
            return torch.zeros(len(classes), count).scatter(1, classes, outputs["scores"])
        return (classes.unsqueeze(1) == torch.arange(count).view(-1, *[1] * (classes.ndim - 1))).float()


def answers(model: Runnable, images: Tensor) -> dict[str, Tensor]:
    """The file's outputs by name for images `[n, 3, h, w]` in [0, 1], for either form of input."""
    outputs = model.run(model.as_input(images.cpu().numpy()))
    return {name: torch.from_numpy(value.copy()) for name, value in outputs.items()}


def spec_of(model: Runnable) -> TaskSpec:
    """The task's specification, from a file's card."""
    card = model.card
    metric = {"classification": "top1", "segmentation": "miou"}.get(card.task, "")  # cards do not name metrics
    rows, palette = (3, *card.image_shape[1:]), card.palette
    ignored, side, framing = card.ignore_index, card.image_size, card.framing
    return TaskSpec(
        name=card.task,
        image_shape=rows,
        class_names=card.class_names,
        metric=metric,
        ignore_index=ignored,
        palette=palette,
        image_size=side,
        framing=framing,
    )
