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


class CompressError(Exception):
    """The run failed."""

    exit_code = 1


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


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str = "") -> UsageError:
    """The error for a name that is in no table, with the nearest one that is."""
    names = sorted(known)
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    if close:
        advice = f"did you mean {close[0]!r}?"
    elif len(names) <= 12:
        advice = f"known: {', '.join(names)}"
    else:
        advice = f"there are {len(names)}; `compress list` prints them"
    return UsageError(f"unknown {kind} {name!r}: {advice}{' ' + hint if hint else ''}")


def first_line(error: Exception, length: int = 160) -> str:
    """What a library's exception says, in one line; its type where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:length]
