"""Checks during a run: weights that are NaN or Inf, and a generator that has collapsed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from compress.errors import Diverged
from compress.task import Samples

ALIKE_IN_A_ROW = 3  # rounds
ONE_PICTURE = 1 / 255  # one grey level: samples of less variety count as identical
LOOKED_AT = 64  # samples of a round that are compared


class CollapseGuard:
    """Detects rounds whose samples are one image, or of one class after there were several.

    A generator whose samples have had one class from the start may still learn more, and is not restarted.
    """

    def __init__(self) -> None:
        self._in_a_row = 0
        self._several_classes = False

    def complaint(self, samples: Samples, variety: float) -> str | None:
        """A description of the collapse that this round's samples complete, if any; the count then restarts."""
        classes = int(samples.statistics.histogram[:LOOKED_AT].amax(dim=0).gt(0).sum())
        one_picture = len(samples.images) > 1 and variety < ONE_PICTURE
        lost_classes = self._several_classes and classes == 1
        self._several_classes |= classes > 1
        self._in_a_row = self._in_a_row + 1 if one_picture or lost_classes else 0
        if self._in_a_row < ALIKE_IN_A_ROW:
            return None
        self._in_a_row, self._several_classes = 0, False
        return f"the samples of {ALIKE_IN_A_ROW} rounds were {'one picture' if one_picture else 'all of one class'}"

    def state_dict(self) -> dict[str, Any]:
        """The count, and whether there have been several classes."""
        return {"in_a_row": self._in_a_row, "several_classes": self._several_classes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._in_a_row, self._several_classes = state["in_a_row"], state["several_classes"]


def require_finite(*states: object) -> None:
    """Raise `Diverged` unless every real tensor in these states, containers of tensors, is finite."""
    groups: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for state in states:  # an optimiser may keep step counts on the CPU, beside weights on a GPU
        for tensor in _real_tensors(state):
            groups.setdefault((tensor.device, tensor.dtype), []).append(tensor.detach())
    largest = [torch.stack(list(torch._foreach_norm(group, math.inf))) for group in groups.values()]
    if not all(bool(norms.isfinite().all()) for norms in largest):
        raise Diverged("weights are NaN or infinite")


def _real_tensors(state: object) -> Iterator[Tensor]:
    if isinstance(state, Tensor) and state.is_floating_point() and state.numel():
        yield state
    elif isinstance(state, dict):
        for part in state.values():
            yield from _real_tensors(part)
    elif isinstance(state, list | tuple):
        for part in state:
            yield from _real_tensors(part)
