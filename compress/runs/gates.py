"""The checks that a result has to pass, and the images that a file is compared on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from compress.errors import GateError
from compress.runs.evaluation import Score
from compress.tasks.data import DataSource

MOST_LOST = 0.01
"""Of the metric, a fraction, that a file may lose against its model."""
SYNTHETIC, HELD_OUT = 256, 128
"""Images at most that a file is compared with its network on, of each kind."""


def require_kept(model: Score, file: Score, most_lost: float, advice: str) -> None:
    """Raise `GateError` if a file loses more of the metric, or of the agreement, than it may."""
    lost = model.headline - file.headline
    if not lost <= most_lost:  # NaN is no score
        raise GateError(f"the file loses {lost:.4f} of {model.metric}, {most_lost} are allowed: {advice}")


def worthless(student: Score) -> str:
    """The warning for a student that is no better than an answer that ignores the image; empty for a better one."""
    if student.chance is None or student.headline > student.chance:
        return ""
    return (
        f"the student is no better than an answer that ignores the image: {student.metric} {student.headline:.4f}, "
        f"where such answers get up to {student.chance:.4f}"
    )


def comparison_images(source: DataSource, synthetic: Tensor | None) -> Tensor | None:
    """Images `[n, 3, h, w]` in [0, 1] that a file is compared on; None where there are none at all.

    Held-out ones from all over the data, then synthetic ones, uint8 `[n, 3, h, w]`, all of the task's size.
    """
    parts, held = [], source.held_out().images
    if len(held):
        parts.append(held[torch.linspace(0, len(held) - 1, min(HELD_OUT, len(held))).round().long()])
    if synthetic is not None and len(synthetic):
        parts.append(synthetic[:SYNTHETIC])
    size = source.image_shape[1:]
    shown = [part.float().div(255) for part in parts]
    same = [part if part.shape[-2:] == size else F.interpolate(part, size=size, mode="bilinear") for part in shown]
    return torch.cat(same) if same else None
