"""The records of a round in progress and of a finished one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from compress.task import Samples, Statistics


@dataclass(frozen=True, kw_only=True)
class Round:
    """The new samples and the numbers of a finished round."""

    index: int
    samples: Samples
    numbers: dict[str, float]
    notice: str | None = None
    """Warnings, with what was done about them."""


@dataclass(kw_only=True)
class PartialRound:
    """A round in progress: its samples are synthesised, and some student steps are done."""

    samples: Samples
    numbers: dict[str, float]
    seed: int
    """Of the random numbers of the student's steps."""
    notice: str | None = None
    done: int = 0
    """Steps of the student so far."""
    used: int = 0
    """Random numbers that these took."""
    totals: Tensor | None = None
    """`[k]`: the sum over the steps that were taken of their totals; None before the first."""

    def note(self, line: str | None) -> None:
        """Add a line to this round's notice."""
        self.notice = "; ".join(filter(None, (self.notice, line))) or None

    def plain(self) -> dict[str, Any]:
        """The round as tensors, numbers and containers of them, for a checkpoint."""
        new_samples, statistics = self.samples, self.samples.statistics
        samples = [new_samples.images, new_samples.targets, statistics.confidence, statistics.histogram]
        kept = {name: getattr(self, name) for name in ("numbers", "seed", "notice", "done", "used", "totals")}
        return {"samples": samples, **kept}

    @classmethod
    def from_plain(cls, plain: dict[str, Any], device: torch.device) -> PartialRound:
        """The round from the value of `plain()`."""
        images, targets, confidence, histogram = (tensor.to(device) for tensor in plain["samples"])
        samples = Samples(images, targets, Statistics(confidence, histogram))
        totals = plain["totals"]
        totals = None if totals is None else totals.to(device)
        kept = {name: plain[name] for name in ("seed", "notice", "done", "used")}
        return cls(samples=samples, numbers=dict(plain["numbers"]), totals=totals, **kept)
