"""`compress list`: the names that flags take."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from compress.cli.flags import as_flags
from compress.errors import UsageError
from compress.tables import Entry, OpenTable


def list_names(
    kind: Literal["teachers", "students", "methods", "data", "tasks", "configs", "precisions", "targets"], /
) -> None:
    """Print the names of teachers, students, methods, data, tasks, recipes, or an export's precisions and targets.

    The output has one name a line, on standard output. Teachers and students share one table: any model can be either.

    Parameters
    ----------
    kind
        What to list.
    """
    listed: dict[str, Callable[[], list[str]]] = {
        "methods": _methods, "data": _data, "tasks": _tasks, "configs": _configs, "precisions": _precisions,
        "targets": _targets,
    }  # fmt: skip
    for line in listed.get(kind, _models)():
        print(as_flags(line))


def _models() -> list[str]:
    from compress.tasks.models import model_names, takes_encoder
    from compress.tasks.models.smp_segmenters import DEFAULT_ENCODER

    segmenters = [
        f"segmentation    {name}{'[:encoder]' if takes_encoder(name) else ''}" for name in model_names("segmentation")
    ]
    classifiers = [f"classification  {name}" for name in model_names("classification")]
    note = f"# segmenters: encoder {DEFAULT_ENCODER} if none is named; timm encoders are written tu-NAME"
    return [
        *_own_networks(),
        *segmenters,
        note,
        *classifiers,
        "# also: hf-hub:OWNER/NAME and local-dir:FOLDER (timm, with their weights)",
    ]


def _own_networks() -> list[str]:
    """The networks that installed tasks bring; a task whose package is broken brings none."""
    from compress.tasks import TASKS, find_task

    lines: list[str] = []
    for task in TASKS.names():
        with suppress(UsageError):
            lines += [f"{task:15} {name}" for name in find_task(task).networks]
    return lines


def _methods() -> list[str]:
    from compress.methods import METHODS

    return [_row(METHODS, name, lambda method: method.summary) for name in METHODS.names()]


def _data() -> list[str]:
    from compress.tasks.data import SOURCES

    return [_row(SOURCES, name, lambda listing: f"{listing.task:16} {listing.description}") for name in SOURCES.names()]


def _tasks() -> list[str]:
    from compress.tasks import TASKS

    return [_row(TASKS, name, lambda task: task.summary) for name in TASKS.names()]


def _precisions() -> list[str]:
    from compress.export import PRECISIONS

    return [_row(PRECISIONS, name, lambda precision: precision.meaning) for name in PRECISIONS.names()]


def _targets() -> list[str]:
    from compress.export import TARGETS

    return [_row(TARGETS, name, lambda target: target.meaning) for name in TARGETS.names()]


def _row(table: OpenTable[Entry], name: str, said: Callable[[Entry], str]) -> str:
    """The line of an entry; if its package is broken, the reason."""
    try:
        entry = table.find(name)
    except UsageError as error:
        return f"{name:14} cannot be used: {error}"
    assert entry is not None
    return f"{name:14} {said(entry)}"


def _configs() -> list[str]:
    from compress.storage.settings_files import recipe_names, recipe_text

    firsts = {name: recipe_text(name).partition("\n")[0] for name in recipe_names()}
    return [f"{name:28} {first.removeprefix('# ')}" for name, first in firsts.items()]
