"""The tasks: adapters between the engine and classification or segmentation, their data and their models."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from compress.task import HeldOut, Task

from .classification import Classification, LabelledPhotographs
from .data import DataSource
from .segmentation import LabelledScenes, Segmentation
from .targets import DRAWN

__all__ = ["DEFAULT_STUDENT", "DEFAULT_TEACHER", "TASKS", "Classification", "Segmentation", "held_out_of", "make_task"]

TASKS: Mapping[str, tuple[Callable[[DataSource, str], Task], Callable[[DataSource], HeldOut]]] = {
    "classification": (Classification, LabelledPhotographs),
    "segmentation": (Segmentation, LabelledScenes),
}
"""By name, what the engine needs of a task and what its networks are scored on."""
DEFAULT_TEACHER: Mapping[str, str] = {"classification": "resnet34", "segmentation": "deeplabv3"}
DEFAULT_STUDENT: Mapping[str, str] = {
    "classification": "cifar_resnet20",
    "segmentation": "deeplabv3plus:tu-test_resnet",
}


def make_task(source: DataSource, targets: str | None = None) -> Task:
    """The adapter for the source's task.

    `targets` names how the task draws them; it has a way of its own for those that it does not draw itself.
    """
    kinds = DRAWN[source.task]
    drawn = targets if targets is not None and targets in kinds else next(iter(kinds))
    return TASKS[source.task][0](source, drawn)


def held_out_of(source: DataSource) -> HeldOut:
    """What networks for the source are scored on."""
    return TASKS[source.task][1](source)
