"""Losses of the generator and discriminator of a teacher-guided GAN, `[n]` unless stated otherwise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

COUNT_AT_FIRST = 50.0
COUNT_KEPT = 0.5  # weight of the previous count in the moving average
DISCOUNT = 0.99


def hinge_real(score: Tensor) -> Tensor:
    """max(0, 1 − D(x)) for real images."""
    return F.relu(1 - score)


def hinge_made(score: Tensor) -> Tensor:
    """max(0, 1 + D(x)) for generated images."""
    return F.relu(1 + score)


def told_apart(real: Tensor, generated: Tensor, labels: Tensor) -> Tensor:
    """CE(real, 2y) + CE(made, 2y + 1): the discriminator's part of the 2k-way head, for logits `[n, 2k]`."""
    return F.cross_entropy(real, 2 * labels, reduction="none") + F.cross_entropy(
        generated, 2 * labels + 1, reduction="none"
    )


def passed_off(generated: Tensor, labels: Tensor) -> Tensor:
    """CE(made, 2y) − CE(made, 2y + 1): the generator's part of the 2k-way head, for logits `[n, 2k]`."""
    real, fake = 2 * labels, 2 * labels + 1
    return F.cross_entropy(generated, real, reduction="none") - F.cross_entropy(generated, fake, reduction="none")


def transfer(teacher_real: Tensor, teacher_made: Tensor, guess_real: Tensor, guess_made: Tensor) -> Tensor:
    """‖t_r − d_r‖ + ‖t_f − d_f‖: the discriminator's features match the teacher's (HiDFD, feature integration)."""
    return _distance(teacher_real, guess_real) + _distance(teacher_made, guess_made)


def blend(teacher_real: Tensor, teacher_made: Tensor, guess_real: Tensor, guess_made: Tensor) -> Tensor:
    """‖t_r − d_f‖ + ‖t_f − d_r‖: they also match across real and generated images (HiDFD, feature integration)."""
    return _distance(teacher_real, guess_made) + _distance(teacher_made, guess_real)


def _distance(one: Tensor, other: Tensor) -> Tensor:
    distance: Tensor = torch.linalg.vector_norm(one - other, dim=1)
    return distance


def updated_counts(counts: Tensor, histogram: Tensor) -> Tensor:
    """n_k ← ½·n_k + ½·count_k `[k]`, where count_k is the number of generated images that the teacher predicts as k."""
    return COUNT_KEPT * counts + (1 - COUNT_KEPT) * histogram


def frequency_weights(counts: Tensor) -> Tensor:
    """w_k = (1 − b)/(1 − b^n_k) `[k]`, scaled to sum to k (HiDFD; Cui et al., CVPR 2019, eq. 2).

    A count below 1 counts as 1: at 0 its weight would be infinite and all others would vanish.
    """
    weights = (1 - DISCOUNT) / (1 - DISCOUNT ** counts.clamp(min=1))
    return weights * len(weights) / weights.sum()


def frequency(teacher_logits: Tensor, weights: Tensor) -> Tensor:
    """Σ_k w_k·p̄_k·log p̄_k `[]` on the teacher's mean prediction p̄ on generated images: lowest for balanced classes."""
    mean = torch.softmax(teacher_logits.float(), dim=1).mean(dim=0)
    return (weights * torch.xlogy(mean, mean.clamp(min=1e-8))).sum()
