"""Recordings of operations on a device."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Protocol

import torch
from torch import Tensor


class Graph(Protocol):
    """A recording of operations, for one step."""

    def rehearse(self, step: Callable[[], None], *, strictly: bool) -> None:
        """Run the step where it will be recorded; `strictly` raises `RuntimeError` where the processor has to wait."""

    def record(self, step: Callable[[], None]) -> None:
        """Record what the step does."""

    def replay(self) -> None:
        """Do it again."""

    def random_state(self) -> Tensor:
        """That of the device's own random numbers, such as dropout's."""

    def set_random_state(self, state: Tensor) -> None:
        """Continue from there."""


class CudaGraph:
    """torch's, for the current card.

    Plain steps and recordings share one stream beside the usual one: autograd adds up the gradients of a weight on the
    stream of its first use, and a recording may not depend on the usual one.
    """

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._stream = _side_stream(torch.cuda.current_device())

    def rehearse(self, step: Callable[[], None], *, strictly: bool) -> None:
        """A recording that fails on its way leaves torch's memory unsettled: what waits is noticed before, here."""
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
        """Nothing runs yet. The outer context leaves the stream where torch's own, after an error, does not."""
        with torch.cuda.stream(self._stream), torch.cuda.graph(self._graph, stream=self._stream):
            step()

    def replay(self) -> None:
        """One launch."""
        self._graph.replay()

    def random_state(self) -> Tensor:
        """The card's generator, which a graph moves on as plain steps do."""
        return torch.cuda.get_rng_state()

    def set_random_state(self, state: Tensor) -> None:
        """Continue from there."""
        torch.cuda.set_rng_state(state)


@cache
def _side_stream(card: int) -> torch.cuda.Stream:
    return torch.cuda.Stream(card)  # type: ignore[no-untyped-call]
