"""Methods by name; each is a recipe of the one engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.errors import unknown_name

from . import cmi, dafl, deep_inversion, dfad, dfq, fast_dfkd, ssd_kd, zskt
from .recipe import Ingredients, Recipe

__all__ = ["DEFAULTS", "METHODS", "UNUSED", "Ingredients", "Recipe", "find_method"]

METHODS: Mapping[str, Recipe] = {
    "ssd-kd": ssd_kd.ssd_kd,
    "fast-dfkd": fast_dfkd.fast_dfkd,
    "cmi": cmi.cmi,
    "deep-inversion": deep_inversion.deep_inversion,
    "dafl": dafl.dafl,
    "dfad": dfad.dfad,
    "dfq": dfq.dfq,
    "zskt": zskt.zskt,
}

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "cmi": cmi.DEFAULTS,
    "deep-inversion": deep_inversion.DEFAULTS,
    "dafl": dafl.DEFAULTS,
    "dfad": dfad.DEFAULTS,
    "dfq": dfq.DEFAULTS,
    "zskt": zskt.DEFAULTS,
}
"""The papers' settings, where they are not those of the schema; a recipe for some data overrides them."""

_TRAINED_GENERATOR = frozenset(
    {"replay", "inversion.steps", "inversion.lr_latent", "inversion.meta", "inversion.shift"}
)
_ADVERSARY_ONLY = _TRAINED_GENERATOR | {"inversion.bn", "inversion.one_hot", "inversion.balance"}
UNUSED: Mapping[str, frozenset[str]] = {
    "ssd-kd": frozenset({"inversion.balance"}),
    "fast-dfkd": frozenset({"replay", "inversion.balance"}),
    "cmi": frozenset({"replay", "inversion.meta", "inversion.balance"}),
    "deep-inversion": frozenset({"replay"})
    | {f"inversion.{name}" for name in ("lr_generator", "latent", "width", "meta", "balance", "shift")},
    "dafl": _TRAINED_GENERATOR | {"inversion.bn", "inversion.adversarial"},
    "dfad": _ADVERSARY_ONLY | {"distillation.temperature"},
    "dfq": _TRAINED_GENERATOR,
    "zskt": _ADVERSARY_ONLY,
}
"""Sections of the settings, and settings, that a method does not look at, and so does not take."""


def find_method(name: str) -> Recipe:
    """The recipe called `name`; raises `UsageError` with the nearest one if there is none."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]
