"""The record of a method: what the toolkit knows about it before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeVar

from compress.settings import DistillSettings, Section
from compress.synthesis.objective import Term

from .context import MethodFunction

Own = TypeVar("Own", bound=Section)

CURATION = frozenset({"distillation.collected_even", "distillation.collected_confident"})
"""Settings of methods that learn from photographs of any classes."""
REAL_IMAGES = frozenset({"gan", "collected", "distillation.collected_share"}) | CURATION
"""Settings that only methods with real images use."""


@dataclass(frozen=True)
class Method:
    """A function that assembles a distiller, and the facts about it that are needed before models and data exist."""

    build: MethodFunction
    _: KW_ONLY
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The paper's settings where they differ from the schema's defaults. Recipes override them."""
    unused: frozenset[str] = REAL_IMAGES
    """Settings, and sections of settings, that the method does not use and therefore refuses."""
    needs_collected: bool = False
    """Whether the student learns from a few real images."""
    shares_classifier: bool = False
    """Whether the student gets the teacher's classifier, which needs classification and architectures known by name."""
    one_process: bool = False
    """Whether it runs in one process only, because a term needs a whole batch or because it uses collected images."""

    terms: Mapping[str, Term] = field(default_factory=dict)
    """Loss terms of its own, by name, which the live view and the report explain."""
    settings: type[Section] | None = None
    """Settings of its own: a section of the schema, called like the method with underscores. See `own_settings`."""

    @property
    def summary(self) -> str:
        """The first line of its function's docstring."""
        return next(iter((self.build.__doc__ or "").strip().splitlines()), "")


def own_settings(settings: DistillSettings, kind: type[Own]) -> Own:
    """The section of a method's own settings, `kind`, in the settings of a run; its defaults where there is none."""
    return next((value for value in vars(settings).values() if isinstance(value, kind)), kind())
