"""Methods by name; each is a recipe of the one engine."""

from __future__ import annotations

from collections.abc import Mapping

from compress.errors import unknown_name

from .fast_dfkd import fast_dfkd
from .hidfd import hidfd
from .kd import kd
from .recipe import Ingredients, Recipe
from .ssd_kd import ssd_kd

__all__ = ["COLLECTED", "METHODS", "SHARING", "UNUSED", "Ingredients", "Recipe", "find_method"]

METHODS: Mapping[str, Recipe] = {"ssd-kd": ssd_kd, "fast-dfkd": fast_dfkd, "hidfd": hidfd, "kd": kd}
UNUSED: Mapping[str, frozenset[str]] = {
    "ssd-kd": frozenset({"gan", "collected"}),
    "fast-dfkd": frozenset({"gan", "collected", "replay"}),
    "hidfd": frozenset({"inversion", "replay"}),
    "kd": frozenset({"gan", "inversion", "replay"}),
}
"""Settings that a method does not look at, and so does not take."""
COLLECTED = frozenset({"hidfd", "kd"})
"""Methods that need a few labelled real images, and so are for classification only."""
SHARING = frozenset({"hidfd"})
"""Methods whose student has the teacher's classifier."""


def find_method(name: str) -> Recipe:
    """The recipe called `name`; raises `UsageError` with the nearest one if there is none."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]
