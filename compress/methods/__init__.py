"""Methods by name. Each assembles a distiller from the parts of the engine."""

from __future__ import annotations

from compress.distillation.distillation_loss import DistillationLoss, SameLogits, SoftLabels
from compress.distillation.distiller import Distiller
from compress.replay.buffer import ReplayBuffer
from compress.replay.policies import Balanced, Prioritised, Uniform, newest, oldest
from compress.settings import Section
from compress.synthesis.objective import Objective, Term, View
from compress.tables import OpenTable
from compress.task import Samples, Statistics
from compress.training.augment import RandomView
from compress.training.schedules import Constant, Cosine, From, Schedule, Warmup

from . import cmi, dafl, deep_inversion, dfad, dfq, fast_dfkd, hidfd, kd, ssd_kd, zskt
from .assembly import (
    adapt_generator,
    alike,
    assemble,
    optimise_pixels,
    renew_generator,
    train_generator,
)
from .context import MethodContext, MethodFunction, frozen
from .method import CURATION, REAL_IMAGES, Method, own_settings
from .terms import after_warmup, fast_terms, priors

__all__ = [  # what the author of a method needs
    "METHODS", "REAL_IMAGES", "Balanced", "Constant", "Cosine", "DistillationLoss", "Distiller", "From", "Method",
    "MethodContext", "MethodFunction", "Objective", "Prioritised", "RandomView", "ReplayBuffer", "SameLogits",
    "Samples", "Schedule", "Section", "SoftLabels", "Statistics", "Term", "Uniform", "View", "Warmup",
    "adapt_generator", "after_warmup", "alike", "assemble", "fast_terms", "find_method", "frozen", "newest", "oldest",
    "optimise_pixels", "own_settings", "priors", "renew_generator", "train_generator",
]  # fmt: skip


def _inversion(*names: str) -> frozenset[str]:
    return frozenset(f"inversion.{name}" for name in names)


_BUFFERED = frozenset({"gan", "inversion.balance"})
_UNIFORM = _BUFFERED | {f"replay.{name}" for name in ("phi", "delta", "gamma", "beta")}
_POOLED = _BUFFERED | {"replay"}
_NO_GENERATOR = _POOLED | _inversion("lr_generator", "latent", "width", "targets", "conditional", "shift")
_TRAINED_GENERATOR = REAL_IMAGES | {"replay"} | _inversion("steps", "targets", "conditional", "lr_latent", "shift")
_PRIORS = _inversion("bn", "patch_entropy", "variation")
_ADVERSARY_ONLY = _TRAINED_GENERATOR | _PRIORS | _inversion("one_hot", "balance")

METHODS = OpenTable(
    "compress.methods",
    Method,
    {
        "fast-dfkd": Method(fast_dfkd.fast_dfkd, unused=_UNIFORM),
        "ssd-kd": Method(ssd_kd.ssd_kd, unused=_BUFFERED),
        "cmi": Method(cmi.cmi, defaults=cmi.DEFAULTS, unused=_POOLED, one_process=True),
        "deep-inversion": Method(deep_inversion.deep_inversion, defaults=deep_inversion.DEFAULTS, unused=_NO_GENERATOR),
        "dafl": Method(
            dafl.dafl,
            defaults=dafl.DEFAULTS,
            unused=_TRAINED_GENERATOR | _PRIORS | _inversion("adversarial"),
            one_process=True,
        ),
        "dfad": Method(
            dfad.dfad, defaults=dfad.DEFAULTS, unused=_ADVERSARY_ONLY | {"distillation.temperature"}, one_process=True
        ),
        "dfq": Method(dfq.dfq, defaults=dfq.DEFAULTS, unused=_TRAINED_GENERATOR, one_process=True),
        "zskt": Method(zskt.zskt, defaults=zskt.DEFAULTS, unused=_ADVERSARY_ONLY),
        "hidfd": Method(
            hidfd.hidfd,
            unused=frozenset(
                {
                    "inversion",
                    "replay",
                    "distillation.temperature",
                    "distillation.hints",
                    "distillation.collected_share",
                }
            )
            | CURATION,
            needs_collected=True,
            shares_classifier=True,
            one_process=True,
        ),
        "kd": Method(
            kd.kd,
            unused=frozenset({"gan", "inversion", "replay", "distillation.collected_share"}),
            needs_collected=True,
            one_process=True,
        ),
    },
)
"""A package adds its own by an entry point in the group `compress.methods`, a script by `METHODS[name] = ...`."""


def find_method(name: str) -> Method:
    """The method called `name`.

    Raises `UsageError` for an unknown name, with the nearest known one, and for a broken package, with its name.
    """
    return METHODS.require(name, "method")
