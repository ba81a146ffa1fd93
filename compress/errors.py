"""The exceptions of this package. The class decides the exit code of the command line.

    CompressError        1  the run failed
    ├── Diverged         1  NaN or infinity in losses or weights, also with smaller learning rates
    ├── UsageError       2  a name, setting, file or other input that cannot be used
    ├── GateError        3  the result was produced but failed a check (parity, accuracy)
    └── Interrupted    130  stopped by the user after a checkpoint

A message is one line: what is wrong, why, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


LENGTH = 1000  # longest message, in characters


class CompressError(Exception):
    """The run failed."""

    exit_code = 1

    def __str__(self) -> str:
        """The message in one line, with control characters escaped, shortened in the middle beyond `LENGTH`."""
        line = printable(super().__str__())
        return line if len(line) <= LENGTH else f"{line[: LENGTH // 2]} ... {line[-LENGTH // 2 :]}"


class Diverged(CompressError):
    """NaN or infinity in losses or weights. A run returns to its last checkpoint a few times before it fails."""


class UsageError(CompressError):
    """The input cannot be used."""

    exit_code = 2


class GateError(CompressError):
    """A result was produced but failed a check."""

    exit_code = 3


class Interrupted(CompressError):
    """The user stopped the run; its last checkpoint holds the progress."""

    exit_code = 130


def unknown_name(
    kind: str, name: str, names: Iterable[str], hint: str = "", *, listed: str = "compress list"
) -> UsageError:
    """The error for an unknown name, with the nearest of the `names`, or all if they are few."""
    names, name = sorted(names), name[:80]
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    if close:
        advice = f"did you mean {close[0]!r}?"
    elif len(names) <= 12:
        advice = f"known: {', '.join(names)}"
    else:
        advice = f"there are {len(names)}; `{listed}` prints them"
    return UsageError(f"unknown {kind} {name!r}: {advice}{' ' + hint if hint else ''}")


def printable(text: str) -> str:
    """Untrusted text in one line, with control characters escaped so that a terminal does not interpret them."""
    return "".join(mark if mark.isprintable() else " " if mark.isspace() else _escape(mark) for mark in text)


def _escape(mark: str) -> str:
    return mark.encode("unicode_escape").decode("ascii")


def first_line(error: BaseException, length: int = 160) -> str:
    """The first line of an exception's message, at most `length` characters; its type if the message is empty."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:length]


def one_line(error: BaseException, length: int = 240) -> str:
    """An exception's message in one line: torch names the layer on its second line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:length]


def first_complaint(error: ValidationError) -> str:
    """The first error of a validation in one line: the setting, the reason and the value."""
    first = error.errors(include_url=False)[0]
    place, reason = ".".join(map(str, first["loc"])), first["msg"][:1].lower() + first["msg"][1:]
    return f"{place + ': ' if place else ''}{reason}, not {_shown(first['input'])}"


def _shown(value: object, length: int = 80) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python refuses to print numbers of more than 4,300 digits
        return f"{type(value).__name__} without end"
    return text if len(text) <= length else f"{text[:length]}..."
