"""Metrics as arithmetic on counts over the whole data set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class TopAccuracy:
    """Share of images whose label is the first guess (`top1`) or among the first five (`top5`), and `top1` by class.

    A class without images has no accuracy. `present` are the indices of the classes of the data; other classes are
    excluded from the predictions.
    """

    def __init__(self, class_names: Sequence[str], present: Sequence[int] | None = None) -> None:
        self._names = tuple(class_names)
        self._absent = torch.ones(len(self._names), dtype=torch.bool)
        self._absent[list(range(len(self._names)) if present is None else present)] = False
        self._guesses = min(5, int((~self._absent).sum()))
        self._among = 0
        self.counts = torch.zeros(len(self._names), len(self._names), dtype=torch.long)
        """`[k, k]`: true class by first guess."""

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Count a batch: logits `[n, k]`, labels `[n]`."""
        scores = logits.float().cpu().masked_fill(self._absent, -math.inf)
        guesses, labels = scores.topk(self._guesses, dim=1).indices, targets.cpu()
        self._among += int((guesses == labels[:, None]).any(dim=1).sum())
        self.counts += pairs(labels, guesses[:, 0], len(self._names))

    def compute(self) -> Mapping[str, float | Mapping[str, float]]:
        """`top1`, `top5` and `accuracy` by class name, fractions; 0 before anything was counted."""
        hits, images = self.counts.diag().double(), self.counts.sum(dim=1)
        count, accuracy = max(int(images.sum()), 1), hits / images.clamp(min=1)
        return {
            "top1": hits.sum().item() / count,
            "top5": self._among / count,
            "accuracy": {name: accuracy[i].item() for i, name in enumerate(self._names) if images[i]},
        }

    def chance(self) -> Mapping[str, float]:
        """For `top1` and `top5`: the score of always predicting the most frequent classes, plus sampling error."""
        images = self.counts.sum(dim=1).sort(descending=True).values
        count = max(int(images.sum()), 1)
        shares = {f"top{most}": images[:most].sum().item() / count for most in (1, 5)}
        return {name: _by_luck(share, count) for name, share in shares.items()}


class ConfusionMatrix:
    """Counts of all pixels of a data set by true and predicted class, from which mIoU is computed.

    A class that is neither in the targets nor in any prediction has no IoU and does not count towards the mean.
    """

    def __init__(self, class_names: Sequence[str], ignore_index: int) -> None:
        self._names, self._ignore_index = tuple(class_names), ignore_index
        self.counts = torch.zeros(len(class_names), len(class_names), dtype=torch.long)
        """`[k, k]`: true class by predicted class."""

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Count a batch: logits `[n, k, h, w]`, label maps `[n, h, w]`."""
        size = len(self._names)
        counted = targets != self._ignore_index
        self.counts += pairs(targets[counted].long(), logits.argmax(dim=1)[counted], size)

    def compute(self) -> Mapping[str, float | Mapping[str, float]]:
        """`miou`, `pixel_accuracy` and `iou` by class name, fractions."""
        correct = self.counts.diag().double()
        union = self.counts.sum(dim=0) + self.counts.sum(dim=1) - self.counts.diag()
        present = union > 0
        iou = correct / union.clamp(min=1)
        return {
            "miou": iou[present].mean().item() if present.any() else 0.0,
            "pixel_accuracy": (correct.sum() / self.counts.sum().clamp(min=1)).item(),
            "iou": {name: iou[i].item() for i, name in enumerate(self._names) if present[i]},
        }

    def chance(self) -> Mapping[str, float]:
        """For `miou`: one over its classes. For `pixel_accuracy`: the most frequent class's share, plus sampling error.

        A class of frequency f, predicted with probability q, has an IoU of qf / (q + f - qf) <= q, and q sums to 1.
        """
        targets, answers = self.counts.sum(dim=1), self.counts.sum(dim=0)
        present, count = int((targets + answers > 0).sum()), max(int(targets.sum()), 1)
        several = int((targets > 0).sum()) > 1  # data of one class tell nothing
        return {
            "miou": 1 / max(present, 1) if several else 0.0,
            "pixel_accuracy": _by_luck(targets.max().item() / count, count),
        }


def pairs(targets: Tensor, answers: Tensor, size: int) -> Tensor:
    """Counts `[size, size]` of true by predicted class, both long `[n]`, on the CPU."""
    return torch.bincount(targets * size + answers, minlength=size * size).view(size, size).cpu()


def _by_luck(share: float, count: int) -> float:
    """A share of `count` predictions plus three standard errors, but at most half way to 1, for few images.

    0 where all answers are right that name the only class: such data tell nothing.
    """
    if share >= 1:
        return 0.0
    return min(share + 3 * math.sqrt(share * (1 - share) / count), (1 + share) / 2)
