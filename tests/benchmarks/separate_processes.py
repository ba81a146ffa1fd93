"""Measurements in processes of their own: no arm of a comparison changes the memory or the threads of another."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import torch

Measure = Callable[[], Any]
CLOCKS: Mapping[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}
"""What is waited for, and, on a machine with other work, what one's own threads were given."""


class Apart:
    """While entered, a process that made something to measure, and measures it once every time this is called.

    `make` is a function of a module, called with `given`; the process waits between two calls, so that several of these
    can take turns.
    """

    def __init__(self, make: Callable[..., Measure], threads: int, **arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, threads, arguments), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process ends our waiting

    def __enter__(self) -> Apart:
        return self

    def __call__(self) -> Any:
        """What `make(**given)()` returned in the process."""
        self._ours.send("go")
        return self._ours.recv()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ours.close()
        self._process.join()


def _serve(orders: Connection, make: Callable[..., Measure], threads: int, arguments: dict[str, Any]) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    measure = make(**arguments)
    while True:
        try:
            orders.recv()
        except EOFError:
            return
        orders.send(measure())
