"""What goes wrong in the middle of a run, noticed: losses that are no numbers, and a generator that has collapsed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from compress.errors import Diverged
from compress.task import Samples

IN_A_ROW = 10  # steps that are skipped before the run gives up going on
ALIKE_IN_A_ROW = 3  # rounds
ONE_PICTURE = 1 / 255  # a grey level: samples of less variety are all the same
LOOKED_AT = 64  # samples of a round, which are enough to tell


class StepGuard:
    """Lets only steps pass whose losses are numbers."""

    def __init__(self) -> None:
        self.skipped = 0
        self._in_a_row = 0

    def passes(self, losses: Tensor) -> bool:
        """Whether all losses are finite; raises `Diverged` when they were not for the tenth time in a row."""
        if bool(losses.isfinite().all()):
            self._in_a_row = 0
            return True
        self.skipped += 1
        self._in_a_row += 1
        if self._in_a_row == IN_A_ROW:
            raise Diverged(f"the losses of {IN_A_ROW} steps in a row were no numbers")
        return False

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        return {"skipped": self.skipped, "in_a_row": self._in_a_row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.skipped, self._in_a_row = state["skipped"], state["in_a_row"]


class CollapseGuard:
    """Notices rounds whose samples are one picture, or of one class where there were several before.

    A generator whose samples never were of several classes may yet learn it, and is left alone.
    """

    def __init__(self) -> None:
        self._in_a_row = 0
        self._several_classes = False

    def complaint(self, samples: Samples, variety: float) -> str | None:
        """What is wrong with a round's samples, of that variety, and those before; then counting begins anew."""
        classes = samples.statistics.histogram[:LOOKED_AT].amax(dim=0).gt(0).sum()
        one_picture = len(samples.images) > 1 and variety < ONE_PICTURE
        lost_classes = self._several_classes and bool(classes == 1)
        self._several_classes |= bool(classes > 1)
        self._in_a_row = self._in_a_row + 1 if one_picture or lost_classes else 0
        if self._in_a_row < ALIKE_IN_A_ROW:
            return None
        self._in_a_row, self._several_classes = 0, False
        return f"the samples of {ALIKE_IN_A_ROW} rounds were {'one picture' if one_picture else 'all of one class'}"

    def state_dict(self) -> dict[str, Any]:
        """The count, and whether there were several classes."""
        return {"in_a_row": self._in_a_row, "several_classes": self._several_classes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._in_a_row, self._several_classes = state["in_a_row"], state["several_classes"]


def require_finite(*states: object) -> None:
    """Raise `Diverged` unless every real tensor in these states, containers of tensors, is finite."""
    sound: dict[
        torch.device, list[Tensor]
    ] = {}  # optimisers keep their step counts on the CPU, beside weights on a GPU
    for state in states:
        for tensor in _real_tensors(state):
            sound.setdefault(tensor.device, []).append(tensor.isfinite().all())
    if not all(bool(torch.stack(checks).all()) for checks in sound.values()):
        raise Diverged("weights are no numbers any more")


def _real_tensors(state: object) -> Iterator[Tensor]:
    if isinstance(state, Tensor) and state.is_floating_point():
        yield state
    elif isinstance(state, dict):
        for part in state.values():
            yield from _real_tensors(part)
    elif isinstance(state, list | tuple):
        for part in state:
            yield from _real_tensors(part)
