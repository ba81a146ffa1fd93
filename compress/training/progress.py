"""Progress of long work: a bar with ETA on a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from compress.errors import printable

SECONDS_BETWEEN_LINES, MOST_SECONDS_BETWEEN_LINES = 15.0, 300.0


class PlainConsole(Console):
    """A console without markup: untrusted text can neither set colours nor move the cursor."""

    def __init__(self, *, stderr: bool) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

        self._wording: Callable[[str], str] = str

    @contextmanager
    def worded(self, wording: Callable[[str], str]) -> Iterator[None]:
        """While entered, text is printed as `wording` puts it: the command line shows flags for settings."""
        before, self._wording = self._wording, wording
        try:
            yield
        finally:
            self._wording = before

    def render_str(self, text: str, **options: Any) -> Text:
        """Render text and tables with control characters escaped."""
        return super().render_str("\n".join(map(printable, self._wording(text).split("\n"))), **options)


console = PlainConsole(stderr=True)
output = PlainConsole(stderr=False)
"""Standard output, for the results of a command; only the command line writes to it."""


@contextmanager
def quiet(silent: bool = True) -> Iterator[None]:
    """While entered, nothing is printed on stderr if `silent`."""
    before, console.quiet = console.quiet, console.quiet or silent
    try:
        yield
    finally:
        console.quiet = before


class Steps:
    """Progress through a known number of steps, with fractions of a step; use it as a context manager."""

    def __init__(self, title: str, total: int, done: float = 0) -> None:
        self.title, self.total, self.done, self.said = title, total, done, tuple[str, ...]()
        self._first, self._bar = done, _Bar(self) if console.is_interactive else None
        self._started = self._since = self._last_line = time.monotonic()

    def __enter__(self) -> Steps:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: float, *said: str, title: str | None = None) -> None:
        """Report that `done` steps are done, with texts to show and optionally a new title.

        The bar polls these values. A line is printed if enough time has passed since the last one, or if all is done.
        """
        self.done, self.said, self.title = done, said, title or self.title
        now = time.monotonic()
        if self._bar is not None or (done < self.total and now - self._last_line < pause(now - self._started)):
            return
        self._last_line = now
        place = f"{self.title} {int(done)}/{self.total}  {clock(now - self._started)} spent, {self.left()} left"
        console.print("  ".join(filter(None, (place, *said))), soft_wrap=True)

    def restart(self, done: float) -> None:
        """Estimate the ETA from the steps after `done` only, because earlier steps were another kind of work."""
        self._since, self._first = time.monotonic(), done

    def left(self) -> str:
        """ETA at the rate so far; a question mark while it is unknown."""
        if self.done <= self._first:
            return "?"
        return clock((time.monotonic() - self._since) / (self.done - self._first) * (self.total - self.done))


class _Bar(Progress):
    """A bar with texts below it.

    A thread polls both. The main thread never waits for that thread, because a signal handler that prints may interrupt
    it at any point.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        super().__init__(
            TextColumn("{task.description:10}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("spent, {task.fields[left]} left"), console=console,
        )  # fmt: skip
        self.add_task(steps.title, total=steps.total, left="?")

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar and its texts, drawn ten times a second and once at the end."""
        steps = self._steps
        for shown in self.task_ids:
            self.update(shown, description=steps.title, completed=steps.done, left=steps.left())
        yield self.make_tasks_table(self.tasks)
        yield from map(Text, filter(None, steps.said))


def pause(spent: float) -> float:
    """Seconds between two lines. They increase with time, so that a day gives hundreds of lines, not thousands."""
    return min(max(SECONDS_BETWEEN_LINES, spent / 20), MOST_SECONDS_BETWEEN_LINES)


def clock(seconds: float) -> str:
    """`m:ss`, or `h:mm:ss`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
