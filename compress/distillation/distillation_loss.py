"""Distillation losses of a student on a batch of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from compress import losses


class DistillationLoss(Protocol):
    """The student's loss on images."""

    @property
    def name(self) -> str:
        """The name of the loss in the run's history."""

    def __call__(self, student: nn.Module, teacher: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss `[n]`, student logits and teacher logits `[n, k, *s]` of images `[n, 3, h, w]` in [0, 1]."""


@dataclass(frozen=True)
class SoftLabels:
    """τ²·KL(teacher ‖ student) of the logits."""

    temperature: float
    name: ClassVar[str] = "kl"

    def __call__(self, student: nn.Module, teacher: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `DistillationLoss`."""
        with torch.no_grad():
            teacher_logits: Tensor = teacher(images)
        student_logits: Tensor = student(images)
        return losses.kl(student_logits, teacher_logits, self.temperature), student_logits, teacher_logits


@dataclass(frozen=True)
class SameLogits:
    """Mean absolute difference of the logits (DFAD)."""

    name: ClassVar[str] = "l1"

    def __call__(self, student: nn.Module, teacher: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `DistillationLoss`."""
        with torch.no_grad():
            teacher_logits: Tensor = teacher(images)
        student_logits: Tensor = student(images)
        return losses.l1(student_logits, teacher_logits), student_logits, teacher_logits
