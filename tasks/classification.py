"""Classification: one label per image."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from compress.task import Batch

from .data import DataSource
from .metrics import TopAccuracy
from .named_task import spec_of
from .pictures import captioned, roles
from .targets import LABELS


class Classification:
    """The task of classification: what the engine needs."""

    def __init__(self, source: DataSource, targets: str) -> None:
        self._source, self._draw, self.spec = source, LABELS[targets], spec_of(source)

    def draw_targets(self, n: int, class_share: Tensor, generator: torch.Generator) -> Tensor:
        """Labels `[n]`, balanced over the classes; `class_share` is ignored."""
        return self._draw(n, self.spec.num_classes, generator)


class LabelledPhotographs:
    """Held-out images with one label each."""

    def __init__(self, source: DataSource) -> None:
        self._source, self.spec = source, spec_of(source)

    def batches(self) -> Iterator[Batch]:
        """The test split."""
        return self._source.held_out().batches(100)

    def metric(self) -> TopAccuracy:
        """Top-1 and top-5 accuracy, and top-1 by class, over the classes of the data."""
        return TopAccuracy(self.spec.class_names, self._source.present)

    def picture(self, batch: Batch, *answers: Tensor, target: str = "aimed at") -> Tensor:
        """Each image above its target class and the predicted classes."""
        names, who = self.spec.class_names, roles(len(answers))
        answered = zip(*(logits.argmax(dim=1).tolist() for logits in answers), strict=True)
        captions = [
            (names[label], *(f"{role[0].upper()}: {names[answer]}" for role, answer in zip(who, row, strict=True)))
            for label, row in zip(batch.targets.tolist(), answered, strict=True)
        ]
        key = ", ".join(
            [f"under each image: class {target}", *(f"{role[0].upper()}: answer of the {role}" for role in who)]
        )
        return captioned(batch.images.mul(255).round().to(torch.uint8).cpu(), captions, key)
