"""Methods by name; each is a recipe of the one engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.errors import unknown_name

from . import cmi, dafl, deep_inversion, dfad, dfq, fast_dfkd, hidfd, kd, ssd_kd, zskt
from .recipe import Ingredients, Recipe

__all__ = ["COLLECTED", "DEFAULTS", "METHODS", "SHARING", "SINGLE", "UNUSED", "Ingredients", "Recipe", "find_method"]

METHODS: Mapping[str, Recipe] = {
    "ssd-kd": ssd_kd.ssd_kd,
    "fast-dfkd": fast_dfkd.fast_dfkd,
    "cmi": cmi.cmi,
    "deep-inversion": deep_inversion.deep_inversion,
    "dafl": dafl.dafl,
    "dfad": dfad.dfad,
    "dfq": dfq.dfq,
    "zskt": zskt.zskt,
    "hidfd": hidfd.hidfd,
    "kd": kd.kd,
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

_NO_IMAGES = frozenset({"gan", "collected"})
_TRAINED_GENERATOR = _NO_IMAGES | {"replay"} | {
    f"inversion.{name}" for name in ("steps", "targets", "conditional", "lr_latent", "meta", "shift")
}  # fmt: skip
_ADVERSARY_ONLY = _TRAINED_GENERATOR | {"inversion.bn", "inversion.one_hot", "inversion.balance"}
UNUSED: Mapping[str, frozenset[str]] = {
    "ssd-kd": _NO_IMAGES | {"inversion.balance"},
    "fast-dfkd": _NO_IMAGES | {"replay", "inversion.balance"},
    "cmi": _NO_IMAGES | {"replay", "inversion.meta", "inversion.balance"},
    "deep-inversion": _NO_IMAGES
    | {"replay"}
    | {
        f"inversion.{name}"
        for name in ("lr_generator", "latent", "width", "meta", "targets", "conditional", "balance", "shift")
    },
    "dafl": _TRAINED_GENERATOR | {"inversion.bn", "inversion.adversarial"},
    "dfad": _ADVERSARY_ONLY | {"distillation.temperature"},
    "dfq": _TRAINED_GENERATOR,
    "zskt": _ADVERSARY_ONLY,
    "hidfd": frozenset({"inversion", "replay", "distillation.temperature", "distillation.hints"}),
    "kd": frozenset({"gan", "inversion", "replay"}),
}
"""Sections of the settings, and settings, that a method does not look at, and so does not take."""
COLLECTED = frozenset({"hidfd", "kd"})
"""Methods that need a few real images."""
SHARING = frozenset({"hidfd"})
"""Methods whose student has the teacher's classifier, and so are for classification only."""
SINGLE = frozenset({"cmi", "dafl", "dfad", "dfq", "hidfd", "kd"})
"""Methods for one process only: a term of theirs is of a whole batch at once, or they learn from collected images."""


def find_method(name: str) -> Recipe:
    """The recipe called `name`; raises `UsageError` with the nearest one if there is none."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]
