"""Which of the collected photographs a student learns from, chosen by the teacher's answers to them."""

from __future__ import annotations

import torch
from torch import Tensor

from compress.task import Statistics

ROUNDING = 1e-6  # of a share of a count, which floating point may put just above a whole number


def draw_shares(statistics: Statistics, *, even: bool, confident: float) -> Tensor:
    """The probability `[n]` with which each photograph is drawn, of sum 1, from the teacher's answers to all of them.

    A teacher answers most photographs that are not of its classes with a few of these, and with little confidence. With
    `even`, all classes that occur are drawn equally often. Of each class, the share `confident` is drawn, at least one
    photograph: those on which the teacher is most confident (DFND, Chen et al., CVPR 2021). The class of a label map is
    that of the most pixels.
    """
    classes = statistics.histogram.argmax(dim=1)
    counts = torch.bincount(classes)
    by_confidence = statistics.confidence.argsort(descending=True, stable=True)
    order = by_confidence[classes[by_confidence].argsort(stable=True)]  # by class, then by confidence
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    rank -= (counts.cumsum(0) - counts)[classes]  # within the class
    most = (counts.double() * confident - ROUNDING).ceil().clamp(min=1)
    shares = (rank < most[classes]).float()
    if even:
        shares /= most[classes].float()
    return shares / shares.sum()
