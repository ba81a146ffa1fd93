"""Losses and statistics on logits `[n, k, *s]`, unreduced: one number per sample, `[n]`, or one per sample and class.

Positions (none for classification, `h w` for segmentation) are averaged here and nowhere else, so that one function
serves every task. Weights and the mean over samples are applied where a loss is used.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def _over_positions(values: Tensor) -> Tensor:
    """Mean over everything but the first axis: `[n, *s] -> [n]`."""
    return values.flatten(1).mean(dim=1) if values.ndim > 1 else values


def _pointwise_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    log_student = F.log_softmax(student.float() / temperature, dim=1)
    log_teacher = F.log_softmax(teacher.float() / temperature, dim=1)
    return (log_teacher.exp() * (log_teacher - log_student)).sum(dim=1)


def kl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(teacher ‖ student) of the predictions at temperature τ, times τ², `[n]` (Hinton et al. 2015, section 2)."""
    return _over_positions(_pointwise_kl(student, teacher, temperature)) * temperature**2


def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int) -> Tensor:
    """Cross-entropy to targets `[n, *s]`, `[n]`: the mean over the positions that are not ignored, 0 if all are."""
    values = F.cross_entropy(logits.float(), targets, ignore_index=ignore_index, reduction="none")
    counted = (targets != ignore_index).float().reshape(len(targets), -1).sum(dim=1)
    return values.reshape(len(targets), -1).sum(dim=1) / counted.clamp(min=1)


def agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """Share of positions with the same predicted class, `[n]`."""
    return _over_positions((student.argmax(dim=1) == teacher.argmax(dim=1)).float())


def adversarial(student: Tensor, teacher: Tensor) -> Tensor:
    """−KL(teacher ‖ student) where the two agree on the class, `[n]` (FastDFKD, eq. 8: L_adv at τ = 1).

    Minimising it moves images to where the probabilities differ most while the predicted classes are still the same.
    """
    agreed = (student.argmax(dim=1) == teacher.argmax(dim=1)).float()
    return -_over_positions(_pointwise_kl(student, teacher, 1.0) * agreed)


def l1(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean absolute difference of the logits, `[n]` (DFAD): its gradient does not vanish as the two agree."""
    return _over_positions((student.float() - teacher.float()).abs().mean(dim=1))


def jensen_shannon(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """½·KL(T ‖ M) + ½·KL(S ‖ M) of the predictions at temperature τ, M = (T + S)/2, `[n]`, in [0, log 2]."""
    log_student = F.log_softmax(student.float() / temperature, dim=1)
    log_teacher = F.log_softmax(teacher.float() / temperature, dim=1)
    log_middle = torch.logaddexp(log_student, log_teacher) - math.log(2)
    parts = [(log.exp() * (log - log_middle)).sum(dim=1) for log in (log_teacher, log_student)]
    return _over_positions((parts[0] + parts[1]) / 2)


def confidence(logits: Tensor) -> Tensor:
    """Mean over positions of the largest class probability, `[n]`, in [1/k, 1]."""
    return _over_positions(logits.float().softmax(dim=1).amax(dim=1))


def class_shares(logits: Tensor) -> Tensor:
    """Mean over positions of the predicted probabilities, `[n, k]`."""
    probabilities = logits.float().softmax(dim=1)
    return probabilities.flatten(2).mean(dim=2) if probabilities.ndim > 2 else probabilities


def class_histogram(logits: Tensor) -> Tensor:
    """Share of positions predicted as each class, `[n, k]`; one-hot for classification."""
    predicted = logits.argmax(dim=1).reshape(len(logits), -1)
    counts = torch.zeros(logits.shape[:2], device=logits.device)
    return counts.scatter_add_(1, predicted, torch.ones_like(predicted, dtype=counts.dtype)) / predicted.shape[1]
