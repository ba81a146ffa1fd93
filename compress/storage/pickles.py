"""Untrusted pickles that contain plain data.

A pickle is a program. Plain data needs only a small part of its language: numbers, text, lists, dictionaries, and a few
names. Two things are checked before any object is created: every instruction is in that part, and every name is one
that the reader knows. The names then resolve to stand-ins, so the file calls nothing.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

INSTRUCTIONS = frozenset({
    "PROTO", "MARK", "STOP", "GLOBAL", "REDUCE", "BUILD", "BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT",
    "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2",
    "TUPLE3", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "SHORT_BINSTRING", "BINSTRING",
    "SHORT_BINBYTES", "BINBYTES", "BINUNICODE",
})  # fmt: skip
"""Instructions of protocol 2 that plain data and arrays of it need."""

StandIn = Callable[..., Any]
Find = Callable[[str], StandIn | None]
"""From a dotted name to its stand-in; None for a name that the file must not have."""


class PlainReader(pickle.Unpickler):
    """Reads one pickle that `end_of_plain` has accepted; names are resolved by `find` only."""

    def __init__(self, content: bytes, find: Find) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._find = find

    def find_class(self, module: str, name: str) -> Any:
        """The second line of defence: a name without a stand-in is never imported, even if the check missed it."""
        return stand_in_for(f"{module}.{name}", self._find)


def stand_in_for(name: str, find: Find) -> StandIn:
    """The stand-in for a dotted name; raises `UnpicklingError` if there is none."""
    stand_in = find(name)
    if stand_in is None:
        raise pickle.UnpicklingError(f"it refers to {name}, which is not plain data")
    return stand_in


def end_of_plain(
    file: BinaryIO, find: Find, instructions: frozenset[str] = INSTRUCTIONS, protocols: tuple[int, ...] = (2,)
) -> int:
    """Where the pickle at the file's position ends; raises `ValueError` or `UnpicklingError` unless it is plain."""
    start, argument = file.tell(), None  # type: tuple[int, Any]
    for count, (instruction, argument, _) in enumerate(pickletools.genops(file)):
        if instruction.name not in instructions:
            raise ValueError(f"it has the instruction {instruction.name}, which plain data does not need")
        if instruction.name == "PROTO" and argument not in protocols:
            raise ValueError(f"it has protocol {argument}, not {protocols[0]}")
        if instruction.name == "GLOBAL":
            stand_in_for(argument.replace(" ", "."), find)
        if instruction.name in ("BINPUT", "LONG_BINPUT") and argument > count + 1:
            raise ValueError("it requests memory that it does not use")  # the reader would allocate it
    return file.tell() - start
