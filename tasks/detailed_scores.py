"""Further scores of label maps that papers and other segmentation tools report."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter
from torch import Tensor

from compress.task import Batch, HeldOut, TaskSpec

from .metrics import ConfusionMatrix

BACKGROUND = {"background", "bg", "back ground"}
"""Lower-case name of the class of all pixels without an object."""
WIDTH = 0.02
"""Width of a boundary region, as a share of the image's diagonal (Cheng et al. 2021)."""


def detailed_scores(counts: Tensor, names: Sequence[str]) -> dict[str, float | Mapping[str, float]]:
    """Dice, precision and recall by class, and means, from counts `[k, k]` of true by predicted class.

    `mean_dice` (the macro F1 score), `mean_accuracy` (mean recall), `frequency_weighted_iou`, and
    `miou_without_background` where a class is called background. As in `miou`, a class that is neither in the labels
    nor in any prediction has no score; means leave it out.
    """
    hits, true, predicted = counts.diag().double(), counts.sum(dim=1), counts.sum(dim=0)
    union, present = true + predicted - hits, (true + predicted) > 0
    iou, dice = hits / union.clamp(min=1), 2 * hits / (true + predicted).clamp(min=1)
    recall, precision = hits / true.clamp(min=1), hits / predicted.clamp(min=1)
    objects = present & torch.tensor([name.lower() not in BACKGROUND for name in names])
    scores: dict[str, float | Mapping[str, float]] = {
        "mean_dice": _mean(dice, present),
        "mean_accuracy": _mean(recall, true > 0),
        "frequency_weighted_iou": ((true * iou).sum() / true.sum().clamp(min=1)).item(),
    }
    if not torch.equal(objects, present):
        scores["miou_without_background"] = _mean(iou, objects)
    for key, values in (("dice", dice), ("precision", precision), ("recall", recall)):
        scores[key] = {name: values[index].item() for index, name in enumerate(names) if present[index]}
    return scores


def _mean(values: Tensor, members: Tensor) -> float:
    return values[members].mean().item() if members.any() else 0.0


class BoundaryIoU:
    """IoU of the strips inside the boundaries of true and predicted classes, counted over the whole data set.

    A strip is as wide as 2 % of the image's diagonal (Cheng et al. 2021), so that thin and small things weigh more than
    in IoU. Pixels that do not count are in no strip.
    """

    def __init__(self, classes: int, ignore_index: int) -> None:
        self._ignore_index = ignore_index
        self.shared, self.either = np.zeros(classes, np.int64), np.zeros(classes, np.int64)

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Count a batch: logits `[n, k, h, w]`, label maps `[n, h, w]`."""
        for predicted, true in zip(logits.argmax(dim=1).numpy(), targets.numpy(), strict=True):
            counted = true != self._ignore_index
            whole = np.where(counted, true, predicted)  # a class does not end where nothing is known
            width = max(round(WIDTH * math.hypot(*true.shape)), 1)
            for index in np.unique(np.stack([whole, predicted])).tolist():
                strips = [_strip(plane == index, width) & counted for plane in (whole, predicted)]
                self.shared[index] += int((strips[0] & strips[1]).sum())
                self.either[index] += int((strips[0] | strips[1]).sum())

    def compute(self) -> float:
        """The mean over the classes that have a boundary."""
        present = self.either > 0
        return float((self.shared[present] / self.either[present]).mean()) if present.any() else 0.0


def _strip(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The pixels of a mask within a distance of its boundary or of the image's edge."""
    inside: NDArray[np.uint8] = minimum_filter(mask.astype(np.uint8), size=2 * width + 1, mode="constant", cval=0)
    strip: NDArray[np.bool_] = mask & (inside == 0)
    return strip


class DetailedConfusion(ConfusionMatrix):
    """The usual scores of label maps and all others: `detailed_scores` and `boundary_iou`."""

    def __init__(self, class_names: Sequence[str], ignore_index: int) -> None:
        super().__init__(class_names, ignore_index)
        self._class_names, self._boundaries = tuple(class_names), BoundaryIoU(len(class_names), ignore_index)

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Count a batch: logits `[n, k, h, w]`, label maps `[n, h, w]`."""
        super().update(logits, targets)
        self._boundaries.update(logits, targets)

    def compute(self) -> Mapping[str, float | Mapping[str, float]]:
        """All numbers, fractions; those of single classes last."""
        scores = {
            **super().compute(),
            **detailed_scores(self.counts, self._class_names),
            "boundary_iou": self._boundaries.compute(),
        }
        return dict(sorted(scores.items(), key=lambda item: isinstance(item[1], Mapping)))


class InDetail:
    """Held-out images with label maps, scored in detail."""

    def __init__(self, held_out: HeldOut) -> None:
        self._held_out, self.spec = held_out, held_out.spec

    def batches(self) -> Iterator[Batch]:
        """The batches of the held-out data."""
        yield from self._held_out.batches()

    def metric(self) -> DetailedConfusion:
        """A new metric without counts."""
        return DetailedConfusion(self.spec.class_names, self.spec.ignore_index)

    def picture(self, batch: Batch, *answers: Tensor, target: str = "aimed at") -> Tensor:
        """The picture of the held-out data."""
        return self._held_out.picture(batch, *answers, target=target)


def confusion_csv(counts: Tensor, spec: TaskSpec) -> str:
    """Counts `[k, k]` as a table: one row for each true class, one column for each predicted class."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["true / predicted", *spec.class_names])
    table.writerows([name, *row] for name, row in zip(spec.class_names, counts.tolist(), strict=True))
    return text.getvalue()
