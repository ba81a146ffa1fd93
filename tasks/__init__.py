"""The tasks: adapters between the engine and classification or segmentation, their data and their models."""

from __future__ import annotations

from compress.task import NOTHING_IGNORED, HeldOut, Task

from .classification import Classification, LabelledPhotographs
from .data import DataSource
from .named_task import TASKS, NamedTask, find_task, spec_of
from .segmentation import LabelledScenes, Segmentation
from .targets import LABEL_MAPS, LABELS

__all__ = [
    "TASKS", "Classification", "NamedTask", "Segmentation", "find_task", "held_out_of", "make_task", "spec_of",
]  # fmt: skip

TASKS["classification"] = NamedTask(
    summary="one class per image",
    task=Classification,
    held_out=LabelledPhotographs,
    metric="top1",
    ignore_index=NOTHING_IGNORED,
    teacher="resnet34",
    student="cifar_resnet20",
    data="digits",
    targets=tuple(LABELS),
)
TASKS["segmentation"] = NamedTask(
    summary="one class per pixel",
    task=Segmentation,
    held_out=LabelledScenes,
    metric="miou",
    teacher="deeplabv3",
    student="deeplabv3plus:tu-test_resnet",
    data="digit-scenes",
    targets=tuple(LABEL_MAPS),
    teacher_targets=("layouts", "answers"),
)


def make_task(source: DataSource, targets: str | None = None) -> Task:
    """The adapter for the source's task.

    `targets` names the targets that it draws; for names that the task does not draw, it draws its default.
    """
    entry = find_task(source.task)
    default = entry.targets[0] if entry.targets else ""
    return entry.task(source, targets if targets is not None and targets in entry.targets else default)


def held_out_of(source: DataSource) -> HeldOut:
    """What networks for the source are scored on."""
    return find_task(source.task).held_out(source)
