"""Classification: one label an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from compress.task import NOTHING_IGNORED, Batch, TaskSpec

from .data import DataSource
from .metrics import TopAccuracy
from .pictures import captioned, roles
from .targets import LABELS


class Classification:
    """The task adapter of classification."""

    def __init__(
        self, source: DataSource, teacher: Callable[[], nn.Module], student: Callable[[], nn.Module], targets: str
    ) -> None:
        self.source, self._teacher, self._student, self._draw = source, teacher, student, LABELS[targets]
        shape, names = source.image_shape, source.class_names
        self.spec = TaskSpec(
            name="classification",
            image_shape=shape,
            class_names=names,
            metric="top1",
            ignore_index=NOTHING_IGNORED,
            image_size=source.image_size,
            framing=source.framing,
        )

    def teacher(self) -> nn.Module:
        """The trained network, frozen and in evaluation mode."""
        return self._teacher().eval().requires_grad_(requires_grad=False)

    def student(self) -> nn.Module:
        """A new, untrained network."""
        return self._student()

    def draw_targets(self, n: int, class_share: Tensor, generator: torch.Generator) -> Tensor:
        """Labels `[n]`, of all classes alike, however common the teacher's answers make them."""
        return self._draw(n, self.spec.num_classes, generator)

    def held_out(self) -> Iterator[Batch]:
        """The test split."""
        return self.source.held_out().batches(100)

    def metric(self) -> TopAccuracy:
        """Top-1 and top-5 accuracy, and top-1 by class, over the classes that the data have."""
        return TopAccuracy(self.spec.class_names, self.source.present)

    def picture(self, batch: Batch, *answers: Tensor, target: str = "aimed at") -> Tensor:
        """Each image, under it the class it was made for and those that models answer with."""
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
