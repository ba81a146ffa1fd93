"""Progress of long work: a bar with the remaining time on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from compress.errors import printable

SECONDS_BETWEEN_LINES = 15.0


class PlainConsole(Console):
    """A console on which text is text: names from outside can neither set colours nor move the cursor."""

    def __init__(self, *, stderr: bool) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """What all text goes through, that of tables too."""
        return super().render_str("\n".join(map(printable, text.split("\n"))), **options)


console = PlainConsole(stderr=True)
output = PlainConsole(stderr=False)
"""Standard output, for what was asked for."""


class Steps:
    """Progress through a known number of steps; use as a context."""

    def __init__(self, title: str, total: int, done: int = 0) -> None:
        self._title, self._total, self._first = title, total, done
        self._started = self._last_line = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Steps:
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[numbers]}"), console=console,
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._total, completed=self._first, numbers="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, numbers: Mapping[str, float]) -> None:
        """Show that `done` steps are done and the latest numbers."""
        text = "  ".join(f"{name} {value:.3f}" for name, value in numbers.items())
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, numbers=text)
            return
        now = time.monotonic()
        if now - self._last_line < SECONDS_BETWEEN_LINES and done < self._total:
            return
        self._last_line = now
        spent = now - self._started
        left = spent / max(done - self._first, 1) * (self._total - done)
        console.print(
            f"{self._title} {done}/{self._total}  {clock(spent)} spent, {clock(left)} left  {text}", soft_wrap=True
        )


def clock(seconds: float) -> str:
    """`m:ss`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
