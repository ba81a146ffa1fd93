"""Metrics as arithmetic on counts over the whole data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class TopAccuracy:
    """Share of images whose label is the first guess (`top1`) or among the first five (`top5`)."""

    def __init__(self, num_classes: int) -> None:
        self._guesses = min(5, num_classes)
        self._hits = torch.zeros(2, dtype=torch.long)
        self._count = 0

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Count a batch: logits `[n, k]`, labels `[n]`."""
        guesses = logits.float().topk(self._guesses, dim=1).indices.cpu()
        hit = guesses == targets.cpu()[:, None]
        self._hits += torch.stack([hit[:, 0].sum(), hit.any(dim=1).sum()])
        self._count += len(targets)

    def compute(self) -> Mapping[str, float]:
        """`top1` and `top5`, fractions; 0 before anything was counted."""
        top1, top5 = (self._hits / max(self._count, 1)).tolist()
        return {"top1": top1, "top5": top5}


class ConfusionMatrix:
    """Every pixel of a data set counted once, by true and predicted class; mIoU is arithmetic on these counts.

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
        pairs = targets[counted].long() * size + logits.argmax(dim=1)[counted]
        self.counts += torch.bincount(pairs, minlength=size * size).view(size, size).cpu()

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
