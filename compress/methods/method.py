"""What a method is to the toolkit before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .assembly import MethodFunction

REAL_IMAGES = frozenset({"gan", "collected"})
"""What only methods that learn from a few real images look at."""


@dataclass(frozen=True)
class Method:
    """A function that assembles a distiller, and what has to be known of it before there are models and data."""

    build: MethodFunction
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The paper's settings, where they are not those of the schema; a recipe for some data overrides them."""
    unused: frozenset[str] = REAL_IMAGES
    """Sections of the settings, and settings, that it does not look at, and so does not take."""
    needs_collected: bool = False
    """Whether it learns from a few real images."""
    shares_classifier: bool = False
    """Whether its student has the teacher's classifier, so that it is for classification by networks with names."""
    one_process: bool = False
    """Whether it cannot be shared: a term of it is of a whole batch at once, or it learns from collected images."""

    @property
    def summary(self) -> str:
        """What it is in one line: the first of its function's docstring."""
        return next(iter((self.build.__doc__ or "").strip().splitlines()), "")
