"""What can go wrong, as one small tree; the class decides the exit code of the command line.

    CompressError        1  the run failed
    ├── Diverged         1  losses or weights are no numbers any more, also with smaller steps
    ├── UsageError       2  a name, flag, config, file or input that cannot be used
    ├── GateError        3  the work was done but a promise was not kept (parity, accuracy)
    └── Interrupted    130  stopped by the user after a checkpoint

A message is one line: what is wrong, why, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


LENGTH = 1000  # characters of a message


class CompressError(Exception):
    """The run failed."""

    exit_code = 1

    def __str__(self) -> str:
        """The message in one line; names of files and what they hold are shown, not obeyed, and cut if without end."""
        line = printable(super().__str__())
        return line if len(line) <= LENGTH else f"{line[: LENGTH // 2]} ... {line[-LENGTH // 2 :]}"


class Diverged(CompressError):
    """Losses or weights are no numbers any more; a run goes back to its last checkpoint a few times before it fails."""


class UsageError(CompressError):
    """Something that was asked for cannot be done as asked."""

    exit_code = 2


class GateError(CompressError):
    """A result was produced and is not good enough."""

    exit_code = 3


class Interrupted(CompressError):
    """The user stopped the run; what was done is in the last checkpoint."""

    exit_code = 130


def unknown_name(
    kind: str, name: str, known: Iterable[str], hint: str = "", *, listed: str = "compress list"
) -> UsageError:
    """The error for a name that is in no table, with the nearest one that is."""
    names, name = sorted(known), name[:80]
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    if close:
        advice = f"did you mean {close[0]!r}?"
    elif len(names) <= 12:
        advice = f"known: {', '.join(names)}"
    else:
        advice = f"there are {len(names)}; `{listed}` prints them"
    return UsageError(f"unknown {kind} {name!r}: {advice}{' ' + hint if hint else ''}")


def printable(text: str) -> str:
    """Text from outside in one line that a terminal shows and does not obey: escapes for control characters."""
    return "".join(mark if mark.isprintable() else " " if mark.isspace() else _escape(mark) for mark in text)


def _escape(mark: str) -> str:
    return mark.encode("unicode_escape").decode("ascii")


def first_line(error: BaseException, length: int = 160) -> str:
    """What a library's exception says, in one line; its type where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:length]


def first_complaint(error: ValidationError) -> str:
    """The first of pydantic's complaints as one line: what is wrong, why, and what it was given."""
    first = error.errors(include_url=False)[0]
    place, reason = ".".join(map(str, first["loc"])), first["msg"][:1].lower() + first["msg"][1:]
    return f"{place + ': ' if place else ''}{reason}, not {_shown(first['input'])}"


def _shown(value: object, length: int = 80) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes no number of more than 4,300 digits
        return f"{type(value).__name__} without end"
    return text if len(text) <= length else f"{text[:length]}..."
