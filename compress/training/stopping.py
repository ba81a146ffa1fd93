"""Stopping long work on Ctrl-C or SIGTERM after a checkpoint."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from compress.errors import Interrupted
from compress.training.progress import console


def leave_terminal() -> None:
    """Discard further output to a terminal that was closed, where every write would raise an error."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)


class StopSignal:
    """While entered, the first Ctrl-C, SIGTERM or SIGHUP asks to stop after what is done now; a second stops at once.

    SIGHUP comes from a terminal that was closed, into which nothing can be written any more.

    Python delivers signals to the main thread only, so a run in another thread ignores them.
    """

    def __init__(self, unit: str, *, heed_signals: bool = True) -> None:
        """`unit` names what is finished first: a round, a step. Without `heed_signals` signals are ignored."""
        self.requested, self._unit, self._heeded_at_once = False, unit, False
        self._heed_signals = heed_signals

    def __enter__(self) -> None:
        possible = self._heed_signals and threading.current_thread() is threading.main_thread()
        named = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")] if possible else []
        # what is ignored stays so: nohup sets SIGHUP aside
        heard = [number for number in named if number is not None and signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._ask) for number in heard}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def heeded_at_once(self) -> Iterator[None]:
        """While entered, a request raises `Interrupted` immediately: for work that can be discarded.

        So does an earlier request, because a signal may arrive between the last check of `asked` and this.
        """
        self._heeded_at_once = True
        try:
            if self.requested:
                raise Interrupted("asked to stop")
            yield
        finally:
            self._heeded_at_once = False

    def _ask(self, number: int, frame: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if number == getattr(signal, "SIGHUP", None):
            leave_terminal()
        console.print(f"stopping after this {self._unit}; press again to stop at once")
        if self._heeded_at_once:
            raise Interrupted("asked to stop")
