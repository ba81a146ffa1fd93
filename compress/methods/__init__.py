"""Methods by name; each is a recipe of the one engine."""

from __future__ import annotations

from collections.abc import Mapping

from compress.errors import unknown_name

from .fast_dfkd import fast_dfkd
from .recipe import Ingredients, Recipe
from .ssd_kd import ssd_kd

__all__ = ["METHODS", "UNUSED", "Ingredients", "Recipe", "find_method"]

METHODS: Mapping[str, Recipe] = {"ssd-kd": ssd_kd, "fast-dfkd": fast_dfkd}
UNUSED: Mapping[str, frozenset[str]] = {"fast-dfkd": frozenset({"replay"})}
"""Sections of the settings that a method does not look at, and so does not take."""


def find_method(name: str) -> Recipe:
    """The recipe called `name`; raises `UsageError` with the nearest one if there is none."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]
