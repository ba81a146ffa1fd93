"""A graph of the pretend device: operations are recorded once and repeated, as CUDA graphs repeat kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pretend_device import DeviceModule
from pretend_tensors import recordings, tensors_in
from torch import Tensor


class PretendGraph:
    """A recording of operations, repeated on the memory that they had, as a CUDA graph's are; Python does not run."""

    def __init__(self) -> None:
        self._recorded: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def rehearse(self, step: Callable[[], None], *, strictly: bool) -> None:
        """Run it once; `strictly` as where CUDA's processor may not wait."""
        DeviceModule.strict = strictly
        try:
            step()
        finally:
            DeviceModule.strict = False

    def record(self, step: Callable[[], None]) -> None:
        """Unlike CUDA's, it runs while it is recorded."""
        recordings.append(self._recorded)
        try:
            step()
        finally:
            recordings.pop()

    def random_state(self) -> Tensor:
        """The processor's: the device has none of its own."""
        return torch.get_rng_state()

    def set_random_state(self, state: Tensor) -> None:
        """Set the processor's."""
        torch.set_rng_state(state)

    def replay(self) -> None:
        """Repeat all recorded operations."""
        for func, args, kwargs, results in self._recorded:
            again = tensors_in([func(*args, **kwargs)])
            before = {part.untyped_storage()._cdata for part in tensors_in((args, *kwargs.values()))}
            for kept, new in zip(results, again, strict=True):
                if kept.untyped_storage()._cdata not in before:  # neither a view nor in place
                    kept.copy_(new)
