"""The tasks: adapters between the engine and classification or segmentation, their data and their models."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from .classification import Classification
from .data import DataSource
from .segmentation import Segmentation
from .targets import DRAWN

__all__ = ["DEFAULT_STUDENT", "DEFAULT_TEACHER", "TASKS", "Classification", "Segmentation", "make_task"]

TASKS: Mapping[str, type[Classification] | type[Segmentation]] = {
    "classification": Classification,
    "segmentation": Segmentation,
}
DEFAULT_TEACHER: Mapping[str, str] = {"classification": "resnet34", "segmentation": "deeplabv3"}
DEFAULT_STUDENT: Mapping[str, str] = {
    "classification": "cifar_resnet20",
    "segmentation": "deeplabv3plus:tu-test_resnet",
}


def make_task(
    source: DataSource, teacher: Callable[[], nn.Module], student: Callable[[], nn.Module], targets: str | None = None
) -> Classification | Segmentation:
    """The adapter for the source's task; teacher and student are made when they are asked for.

    `targets` names how the task draws them; it has a way of its own for those that it does not draw itself.
    """
    kinds = DRAWN[source.task]
    drawn = targets if targets is not None and targets in kinds else next(iter(kinds))
    return TASKS[source.task](source, teacher, student, drawn)
