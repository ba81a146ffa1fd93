"""Checks during a run: weights that are NaN or Inf, a generator that has collapsed, a student that learns nothing."""

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
STANDSTILL = 0.1  # of the rounds that train the student: how long it may agree no more than by chance
LEAST_ROUNDS = 5  # and how many these are at least
ERRORS = 2.0  # standard errors by which an agreement must be above chance to count as more
ROUNDING = 1e-5


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


class StandstillGuard:
    """Detects a student that learns nothing, although its losses are finite: it agrees with its teacher by chance only.

    Chance is the share of the teacher's most frequent class, which always answering that class would reach. A student
    may be there for the first tenth of its rounds, in which the learning rate rises, and for another tenth.
    """

    def __init__(self, rounds: int) -> None:
        """`rounds` are those that train the student."""
        self._patience = max(round(STANDSTILL * rounds), LEAST_ROUNDS)
        self._trained = self._in_a_row = 0

    @property
    def at_standstill(self) -> bool:
        """Whether the student has been at chance for too long, as of the last round."""
        return self._in_a_row >= self._patience

    def complaint(self, agreement: float, majority: float, answers: int) -> str | None:
        """A description of the standstill that this round completes, if any; a standstill is described once.

        `agreement` is the share of this round's `answers`, one for each position of an image, in which the student
        names its teacher's class, and `majority` the share of the teacher's most frequent class.
        """
        self._trained += 1
        error = math.sqrt(majority * (1 - majority) / answers)
        by_chance = agreement <= majority + ERRORS * error + ROUNDING and self._trained > self._patience
        self._in_a_row = self._in_a_row + 1 if by_chance else 0
        if self._in_a_row != self._patience:
            return None
        return (
            f"the student has learnt nothing for {self._patience} rounds: it answers as its teacher does on "
            f"{agreement:.1%} of the samples, and one answer to all would on {majority:.1%}; if this lasts, lower "
            "distillation.lr"
        )

    def state_dict(self) -> dict[str, Any]:
        """The rounds so far, and those in a row at chance."""
        return {"trained": self._trained, "in_a_row": self._in_a_row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._trained, self._in_a_row = state["trained"], state["in_a_row"]


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
