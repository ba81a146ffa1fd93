"""Tasks by name, for `--task` and `DistillSettings(task=...)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn

from compress.tables import OpenTable
from compress.task import IGNORE_INDEX, HeldOut, Task, TaskSpec

if TYPE_CHECKING:
    from .data import DataSource


@dataclass(frozen=True, kw_only=True)
class NamedTask:
    """A task by name: its two adapters, its networks, and the names that its commands use by default."""

    summary: str
    """A short description, for `compress list tasks`."""
    task: Callable[[DataSource, str], Task]
    """What the engine needs, from the data and the name of the targets to draw (see `targets`)."""
    held_out: Callable[[DataSource], HeldOut]
    """What networks are scored on, from the data."""
    metric: str
    """Name of the headline number in `Metric.compute()`, a fraction."""
    teacher: str
    """Default teacher."""
    student: str
    """Default student."""
    data: str
    """Default data set."""
    ignore_index: int = IGNORE_INDEX
    """Target value that losses and metrics ignore."""
    networks: Mapping[str, Callable[[int], nn.Module]] = field(default_factory=dict)
    """Networks of its own by name, each a function of the number of classes; if empty, the built-in tasks' networks."""
    targets: tuple[str, ...] = ()
    """Names of the targets that `draw_targets` can draw, for `inversion.targets`; the first is the default. Empty if
    there is one kind only, for which the adapter is given an empty name."""
    teacher_targets: tuple[str, ...] = ("answers",)
    """Names of the targets that come from the teacher, for `inversion.targets`."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Settings that override the schema's defaults, as nested names; recipes, files and flags override them."""


TASKS: OpenTable[NamedTask] = OpenTable("compress.tasks", NamedTask, {})
"""A package adds its own by an entry point in the group `compress.tasks`, a script by `TASKS[name] = ...`."""


def find_task(name: str) -> NamedTask:
    """The task called `name`.

    Raises `UsageError` for an unknown name, with the nearest known one, and for a broken package, with its name.
    """
    return TASKS.require(name, "task")


def spec_of(source: DataSource) -> TaskSpec:
    """The facts about the data's task: those of the data, and metric and ignored label of the task."""
    entry = find_task(source.task)
    return TaskSpec(
        name=source.task,
        image_shape=source.image_shape,
        class_names=source.class_names,
        metric=entry.metric,
        ignore_index=entry.ignore_index,
        palette=source.palette,
        image_size=source.image_size,
        framing=source.framing,
    )
