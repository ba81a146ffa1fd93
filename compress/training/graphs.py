"""Recorded graphs of operations on a device."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Protocol

import torch
from torch import Tensor


class Graph(Protocol):
    """A recording of operations, for one step."""

    def rehearse(self, step: Callable[[], None], *, strictly: bool) -> None:
        """Run the step as it will be recorded; with `strictly`, raise `RuntimeError` if the CPU has to wait."""

    def record(self, step: Callable[[], None]) -> None:
        """Record the operations of the step."""

    def replay(self) -> None:
        """Repeat the recorded operations."""

    def random_state(self) -> Tensor:
        """The state of the device's own generator, which dropout uses."""

    def set_random_state(self, state: Tensor) -> None:
        """Continue from there."""


class CudaGraph:
    """A CUDA graph on the current GPU.

    Plain steps and recordings share one side stream. Autograd accumulates the gradients of a weight on the stream of
    its first use, and a recording must not depend on the default stream.
    """

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._stream = _side_stream(torch.cuda.current_device())

    def rehearse(self, step: Callable[[], None], *, strictly: bool) -> None:
        """Find waits before the recording: a recording that fails leaves torch's memory in an undefined state."""
        before = torch.cuda.get_sync_debug_mode()
        self._stream.wait_stream(torch.cuda.current_stream())
        if strictly:
            torch.cuda.set_sync_debug_mode("error")
        try:
            with torch.cuda.stream(self._stream):
                step()
        finally:
            torch.cuda.set_sync_debug_mode(before)
            torch.cuda.current_stream().wait_stream(self._stream)

    def record(self, step: Callable[[], None]) -> None:
        """Record without running. The outer context resets the stream after an error, which torch's own does not."""
        with torch.cuda.stream(self._stream), torch.cuda.graph(self._graph, stream=self._stream):
            step()

    def replay(self) -> None:
        """Run the graph with one launch."""
        self._graph.replay()

    def random_state(self) -> Tensor:
        """The state of the GPU's generator, which a graph advances as plain steps do."""
        return torch.cuda.get_rng_state()

    def set_random_state(self, state: Tensor) -> None:
        """Continue from there."""
        torch.cuda.set_rng_state(state)


@cache
def _side_stream(card: int) -> torch.cuda.Stream:
    return torch.cuda.Stream(card)  # type: ignore[no-untyped-call]
