"""A round of a run: while it is under way, and when it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from compress.task import Samples, Statistics


@dataclass(frozen=True)
class Round:
    """What one round did: its new samples and its numbers, for whoever watches."""

    index: int
    samples: Samples
    numbers: dict[str, float]
    notice: str | None = None
    """What went wrong, and what was done about it."""


@dataclass
class PartialRound:
    """A round that is under way: the samples are made, some steps of the student are done."""

    samples: Samples
    numbers: dict[str, float]
    notice: str | None = None
    steps: list[dict[str, float]] = field(default_factory=list)
    """The numbers of each step so far; nothing of one that was skipped."""

    def plain(self) -> dict[str, Any]:
        """The same as tensors, numbers and containers of them, for a checkpoint."""
        made, known = self.samples, self.samples.statistics
        samples = [made.images, made.targets, known.confidence, known.histogram]
        return {"samples": samples, "numbers": self.numbers, "notice": self.notice, "steps": self.steps}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> PartialRound:
        """What `plain()` made plain."""
        images, targets, confidence, histogram = plain["samples"]
        samples = Samples(images, targets, Statistics(confidence, histogram))
        return cls(samples, dict(plain["numbers"]), plain["notice"], list(plain["steps"]))
