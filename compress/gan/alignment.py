"""A distillation loss on the last feature map instead of the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compress.gan.features import as_feature_model


@dataclass(frozen=True)
class FeatureAlignment:
    """Mean squared error between the last feature maps (SimKD, Chen et al., CVPR 2022, eq. 2).

    The student's map must have the teacher's channels, and its classifier is the teacher's.
    """

    name: ClassVar[str] = "alignment"

    def __call__(self, student: nn.Module, teacher: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `compress.distillation.distillation_loss.DistillationLoss`."""
        learner, master = as_feature_model(student), as_feature_model(teacher)
        with torch.no_grad():
            teacher_map = master.features(images)
            teacher_logits = master.classify(teacher_map)
        student_map = learner.features(images)
        with torch.no_grad():
            student_logits = learner.classify(student_map)
        return alignment(student_map, teacher_map), student_logits, teacher_logits


def alignment(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared error `[n]` of maps `[n, c, h, w]`; the larger one is first average-pooled to the smaller size."""
    height, width = (min(a, b) for a, b in zip(student.shape[2:], teacher.shape[2:], strict=True))
    small, aim = (F.adaptive_avg_pool2d(maps.float(), (height, width)) for maps in (student, teacher))
    return (small - aim).pow(2).flatten(1).mean(dim=1)
