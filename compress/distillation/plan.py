"""The settings of the loop that distils."""

from __future__ import annotations

from dataclasses import dataclass

from compress.distillation.distillation_loss import DistillationLoss
from compress.training.augment import RandomView
from compress.training.mixing import Mix
from compress.training.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class DistillationPlan:
    """The settings of the loop: numbers of rounds and steps, loss, schedule and augmentation."""

    rounds: int
    warmup_rounds: int
    steps_per_round: int
    batch: int
    distillation_loss: DistillationLoss
    learning_rate: Schedule
    augment: RandomView
    mix: Mix | None = None
    """How the images of a batch are mixed with each other; None: not at all."""
    dropout: bool = False
    """Whether the student's dropout is active."""
    keep_from: int = 0
    """First round whose samples enter the buffer."""
