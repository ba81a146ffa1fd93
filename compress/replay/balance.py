"""φ of SSD-KD: a score for samples of rare classes and of low teacher confidence."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from compress.task import Statistics

COMPARED, PIXELS = 64, 4096  # images, and values per image, that `variety` uses at most


def balance(statistics: Statistics, class_share: Tensor, gamma: float) -> Tensor:
    """φ(x) = (1 − n_c(x)/|B|) · (1 − p_T(x))^γ, `[n]` (SSD-KD, CVPR 2024, section 3; our reading of its two terms).

    `class_share [k]` is the share of each class in the buffer, so that the first factor falls as more samples share x's
    predicted class; over a label map it is the mean of that factor over positions. The second factor is focal: it
    favours samples on which the teacher's confidence p_T is low.
    """
    diversity = 1 - statistics.histogram @ class_share
    difficulty = (1 - statistics.confidence).clamp(min=1e-6) ** gamma
    return diversity * difficulty


def rescaled(weights: Tensor) -> Tensor:
    """Weights `[n]` divided by their mean, so that the scale of a loss does not depend on φ; all 1 if φ is 0.

    φ is 0 for all samples if they have one class, as at the start of a run. Their losses must not vanish then.
    """
    positive = weights + 1e-6
    return positive / positive.mean()


def evenness(class_share: Tensor) -> Tensor:
    """Entropy `[]` of the class shares `[k]` relative to uniform shares: 1 for uniform ones, 0 for a single class."""
    entropy: Tensor = torch.special.entr(class_share).sum()
    return entropy / math.log(len(class_share))


def variety(images: Tensor) -> float:
    """Mean standard deviation of a pixel over images uint8 `[n, 3, h, w]`, as a fraction of the full range."""
    values = images[:: max(len(images) // COMPARED, 1)].flatten(1)
    values = values[:, :: max(values.shape[1] // PIXELS, 1)].float()
    return values.std(dim=0, correction=0).mean().item() / 255
