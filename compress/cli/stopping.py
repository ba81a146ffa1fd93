"""Long work that ends when it is asked to, with what it has done."""

from __future__ import annotations

import signal
import threading

from compress.progress import console


class StopSignal:
    """While entered, the first Ctrl-C or SIGTERM asks to stop after what is done now; a second one stops at once.

    Python tells only the main thread of signals: a run in another one cannot be asked.
    """

    def __init__(self, unit: str) -> None:
        """`unit` names what is finished first: a round, a step."""
        self.asked, self._unit = False, unit

    def __enter__(self) -> None:
        heard = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
        self._before = {number: signal.signal(number, self._ask) for number in heard}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        console.print(f"stopping after this {self._unit}; once more to stop at once")
