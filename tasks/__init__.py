"""The tasks: adapters between the engine and classification or segmentation, their data and their models."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from .classification import Classification
from .data import DataSource
from .segmentation import Segmentation

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
    source: DataSource, teacher: Callable[[], nn.Module], student: Callable[[], nn.Module]
) -> Classification | Segmentation:
    """The adapter for the source's task; teacher and student are made when they are asked for."""
    return TASKS[source.task](source, teacher, student)
