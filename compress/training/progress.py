"""Progress of long work: a bar with the remaining time on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from compress.errors import printable

SECONDS_BETWEEN_LINES, MOST_SECONDS_BETWEEN_LINES = 15.0, 300.0


class PlainConsole(Console):
    """A console on which text is text: names from outside can neither set colours nor move the cursor."""

    def __init__(self, *, stderr: bool) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """What all text goes through, that of tables too."""
        return super().render_str("\n".join(map(printable, text.split("\n"))), **options)


console = PlainConsole(stderr=True)
output = PlainConsole(stderr=False)
"""Standard output, for the results of a command; only the command line writes to it."""


@contextmanager
def quiet(silent: bool = True) -> Iterator[None]:
    """While entered, nothing is said on stderr; with `silent` False this changes nothing."""
    before, console.quiet = console.quiet, console.quiet or silent
    try:
        yield
    finally:
        console.quiet = before


class Steps:
    """Progress through a known number of steps, of which parts may be done too; use as a context."""

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
        """`done` steps are done, and that much is to be said of it; with `title`, the work has another name now.

        A bar looks here by itself. A line is printed if the last one is a while ago, or if all is done.
        """
        self.done, self.said, self.title = done, said, title or self.title
        now = time.monotonic()
        if self._bar is not None or (done < self.total and now - self._last_line < pause(now - self._started)):
            return
        self._last_line = now
        place = f"{self.title} {int(done)}/{self.total}  {clock(now - self._started)} spent, {self.left()} left"
        console.print("  ".join(filter(None, (place, *said))), soft_wrap=True)

    def restart(self, done: float) -> None:
        """Judge how long the rest takes by what follows `done` steps: it is another kind of work than what was done."""
        self._since, self._first = time.monotonic(), done

    def left(self) -> str:
        """How long the rest takes at the pace so far; a question mark before there is one."""
        if self.done <= self._first:
            return "?"
        return clock((time.monotonic() - self._since) / (self.done - self._first) * (self.total - self.done))


class _Bar(Progress):
    """A bar, and below it what is said.

    Its own thread fetches both. The main thread never waits for that one: a signal's handler, which prints, could be
    running in the middle of it.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        super().__init__(
            TextColumn("{task.description:10}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("spent, {task.fields[left]} left"), console=console,
        )  # fmt: skip
        self.add_task(steps.title, total=steps.total, left="?")

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is drawn ten times a second, and once at the end."""
        steps = self._steps
        for shown in self.task_ids:
            self.update(shown, description=steps.title, completed=steps.done, left=steps.left())
        yield self.make_tasks_table(self.tasks)
        yield from map(Text, filter(None, steps.said))


def pause(spent: float) -> float:
    """Seconds between two lines: more in long work, so that a day leaves hundreds of lines, not thousands."""
    return min(max(SECONDS_BETWEEN_LINES, spent / 20), MOST_SECONDS_BETWEEN_LINES)


def clock(seconds: float) -> str:
    """`m:ss`, or `h:mm:ss`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
