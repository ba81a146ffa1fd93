"""Optimiser steps that skip NaN and Inf; the decision is made on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from compress.errors import Diverged

IN_A_ROW = 10  # skipped steps in a row after which a run has diverged


@dataclass(frozen=True, kw_only=True)
class SkippedSteps:
    """The skipped steps since the last read."""

    skipped: int
    last_taken: bool
    numbers: list[float]
    """The values of other tensors that were read at the same time."""


class FiniteSteps:
    """Optimiser steps that are skipped if there is a NaN or Inf in losses or gradients.

    A skipped step changes neither weights nor the optimiser's state nor the networks' buffers (the statistics of batch
    normalisation). The decision needs no wait: the count is read once per round.
    """

    def __init__(self, optimizer: Optimizer, buffers: Iterable[Tensor], exchange: Callable[[], None]) -> None:
        """`exchange` is called with a step's gradients complete and not yet checked: workers share them there."""
        self._optimizer, self._exchange = optimizer, exchange
        self._buffers = _Buffers(buffers)
        device = optimizer.param_groups[0]["params"][0].device
        self._one, self._not_finite = torch.ones((), device=device), torch.zeros((), device=device)
        self._counts = torch.zeros(4, device=device)
        """Steps not taken, how many of them in a row, the most in a row, and whether the last one was not."""
        self._on_device = getattr(optimizer, "_step_supports_amp_scaling", False)

    def begin(self) -> None:
        """Call before a step's forward pass: clears the gradients and remembers the buffers."""
        self._optimizer.zero_grad()
        self._buffers.remember()

    def undo(self) -> None:
        """Abandon the step and restore the buffers, so that it can start again."""
        self._buffers.restore()
        self._optimizer.zero_grad()

    @torch.no_grad()
    def end(self, losses: Tensor) -> Tensor:
        """Call after the backward pass: takes the step if all is finite; returns whether it did, `[]` on the device.

        `losses`, of any shape, are those of all workers.
        """
        self._exchange()
        gradients = [p.grad for group in self._optimizer.param_groups for p in group["params"] if p.grad is not None]
        self._not_finite.copy_(~losses.isfinite().all())
        torch._amp_foreach_non_finite_check_and_unscale_(gradients, self._not_finite, self._one)
        self._step()
        step_taken = self._not_finite == 0
        self._buffers.restore_unless(step_taken)
        skipped, in_a_row, most, _ = self._counts.unbind()
        row = (in_a_row + 1) * self._not_finite
        self._counts.copy_(torch.stack([skipped + self._not_finite, row, torch.maximum(most, row), self._not_finite]))
        return step_taken

    def _step(self) -> None:
        """Take the step as a gradient scaler does: the fused kernels check `found_inf` themselves."""
        if self._on_device:
            self._optimizer.grad_scale, self._optimizer.found_inf = None, self._not_finite  # type: ignore[attr-defined]
            self._optimizer.step()
        elif not bool(self._not_finite):  # an optimiser without fused kernels: this waits
            self._optimizer.step()

    def read(self, *others: Tensor) -> SkippedSteps:
        """Read the counts since the last call, and the values of other numbers `[]`, with one wait.

        Raises `Diverged` if ten steps in a row were skipped.
        """
        values = torch.cat([self._counts, torch.stack([other.float() for other in others])]) if others else self._counts
        skipped, _, most, last, *numbers = values.tolist()
        if most >= IN_A_ROW:
            raise Diverged(f"the losses of {IN_A_ROW} steps in a row were not finite")
        for count in (0, 2):
            self._counts[count].zero_()
        return SkippedSteps(skipped=int(skipped), last_taken=last == 0, numbers=numbers)

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        return {"counts": self._counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._counts.copy_(state["counts"])


class _Buffers:
    """Tensors and their values before a step; tensors of one type are copied together, in a few operations."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors:
            by_type.setdefault(tensor.dtype, []).append(tensor)
        self._groups = list(by_type.values())
        self._before: list[Tensor] = []

    def remember(self) -> None:
        self._before = [_in_one(group) for group in self._groups]

    def restore(self) -> None:
        for group, before in zip(self._groups, self._before, strict=True):
            _spread(before, group)

    def restore_unless(self, step_taken: Tensor) -> None:
        for group, before in zip(self._groups, self._before, strict=True):
            _spread(torch.where(step_taken, _in_one(group), before), group)


def _in_one(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


@torch.no_grad()
def _spread(values: Tensor, tensors: list[Tensor]) -> None:
    parts = torch.split(values, [tensor.numel() for tensor in tensors])
    torch._foreach_copy_(tensors, [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)])
