"""The schema of the settings, with the sections of installed methods."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import Field, create_model

from compress.errors import UsageError
from compress.methods import METHODS
from compress.settings import DistillSettings, Section

Schema = TypeVar("Schema", bound=DistillSettings)


def own_sections() -> dict[str, type[Section]]:
    """Settings of methods that bring some, by the name of their section: the method's, with underscores.

    A package that is broken adds nothing here; who asks for its method is told.
    """
    sections = {}
    for name in METHODS.names():
        try:
            method = METHODS.find(name)
        except UsageError:
            continue
        if method is not None and method.settings is not None:
            sections[section_of(name)] = method.settings
    return sections


def section_of(method: str) -> str:
    """The name of a method's own section."""
    return method.replace("-", "_")


def with_own_sections(base: type[Schema]) -> type[Schema]:
    """`base` with a section for each installed method that has settings of its own; `base` itself if none has."""
    sections = own_sections()
    if not sections:
        return base
    fields: dict[str, Any] = {
        name: (kind, Field(default_factory=kind, description=f"Settings of {name.replace('_', '-')}"))
        for name, kind in sections.items()
    }
    return create_model(base.__name__, __base__=base, __doc__=base.__doc__, **fields)
