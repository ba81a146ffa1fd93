"""The help page of a command: its whole docstring, its flags by heading, and the defaults that would apply."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cyclopts import App, Group, Parameter
from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo

from compress.cli.flags import NO_EMPTY_FLAGS
from compress.errors import CompressError
from compress.settings import DistillSettings, Heading

HELP_FLAGS = frozenset({"--help", "-h"})
OWN_FLAGS, SECTIONS = 2, 10
RECIPE = "recipe"
"""Stands where a default depends on a recipe that the words do not determine."""


def print_help(app: App, words: Sequence[str]) -> None:
    """Print the page of the command that `words` begin with; of a group of commands, what is in it.

    Defaults are those of the method and recipe that the other flags among `words` select.
    """
    plain = [word for word in words if word not in HELP_FLAGS]
    names, commands, _ = app.parse_commands(plain)
    command = commands[-1]
    if command.default_command is None:
        app([*names, "--help"], result_action="return_value")
        return
    page = App(
        name=" ".join(["compress", *names]),
        help_epilogue=command.help_epilogue,
        group_parameters=Group("Options", sort_key=OWN_FLAGS),
        version_flags=(),
        help_flags=(),
        default_parameter=NO_EMPTY_FLAGS,
    )
    page.default(_documented(command.default_command, app, plain))
    page.help_print([])


def _documented(function: Any, app: App, words: list[str]) -> Any:
    """A copy of a command's signature whose settings have headings and the defaults that would apply."""
    signature = inspect.signature(function, eval_str=True)
    settings = signature.parameters.get("settings")
    if settings is None:
        return function
    model = next(kind for kind in settings.annotation.__args__[0].__args__ if kind is not type(None))
    shown = _described(model, _defaults(model, app, words))
    described = settings.replace(annotation=Annotated[shown | None, Parameter(name="*")])

    def stand_in(**_: object) -> None: ...

    stand_in.__doc__ = function.__doc__
    stand_in.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[described if parameter is settings else parameter for parameter in signature.parameters.values()]
    )
    return stand_in


def _defaults(model: type[BaseModel], app: App, words: list[str]) -> Mapping[str, Any]:
    """What each setting would be without its own flag, given the other flags; empty if they cannot be resolved."""
    if not issubclass(model, DistillSettings):
        return {}
    from compress.runs.resolution import resolve
    from compress.storage.settings_files import merged

    try:
        _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        settings = bound.arguments.get("settings")
        flags = settings.model_dump(exclude_unset=True) if settings else {}
        return merged(resolve(flags, bound.arguments.get("config")).model_dump(), _schema_defaults(flags))
    except (CompressError, ValueError):
        return {}


def _schema_defaults(flags: Mapping[str, Any]) -> dict[str, Any]:
    """For the top-level settings among the flags, what the schema says: a flag's own value is not its default."""
    schema = DistillSettings().model_dump()
    return {name: schema[name] for name, value in flags.items() if not isinstance(value, Mapping)}


def _described(model: type[BaseModel], defaults: Mapping[str, Any], heading: Heading | None = None) -> Any:
    """A model of the same fields, of which each says its heading and its default."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        own = next((mark for mark in field.metadata if isinstance(mark, Heading)), heading)
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            kind = _described(
                section, defaults.get(name, {}), Heading(field.description or name, SECTIONS + len(fields))
            )
            fields[name] = (kind, field)
        else:
            fields[name] = (_flag(field, own, defaults.get(name, RECIPE)), field)
    return create_model(model.__name__, __base__=model, **fields)


def _flag(field: FieldInfo, heading: Heading | None, default: object) -> Any:
    group = Group(heading.title, sort_key=heading.rank) if heading else None
    shown = default is not None
    return Annotated[field.annotation, Parameter(group=group, show_default=(lambda _: default) if shown else False)]
