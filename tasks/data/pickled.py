"""Reading pickled batches of images without running what a pickle can say.

A pickle is a program. The official CIFAR files use a small part of its language: numbers, text, lists, dictionaries and
one numpy array. So two things are checked before anything is made: every instruction is one of that part, and every
name is one of numpy's own for an array. The names are then answered with stand-ins that only hold bytes; neither numpy
nor anything else is called by the file.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from compress.errors import UsageError, first_line

SIZE_LIMIT = 200_000_000
"""Bytes; CIFAR-100's training file, the largest, has 155 million."""
_INSTRUCTIONS = {
    "PROTO", "MARK", "STOP", "GLOBAL", "REDUCE", "BUILD", "BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT",
    "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2",
    "TUPLE3", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "SHORT_BINSTRING", "BINSTRING",
    "SHORT_BINBYTES", "BINBYTES", "BINUNICODE",
}  # fmt: skip


class PixelArray:
    """What numpy's array is in a batch file: bytes and a shape, two whole numbers."""

    def __init__(self, *_: object) -> None:
        self._bytes, self._shape = b"", (0, 0)

    def __setstate__(self, state: object) -> None:
        match state:
            case (int(), (int(rows), int(columns)), ByteType(), False, bytes(content)):
                self._bytes, self._shape = content, (rows, columns)
            case _:
                raise pickle.UnpicklingError("its images are no table of bytes, one row an image")

    def rows(self, width: int) -> Tensor:
        """uint8 `[n, width]`; raises `ValueError` if the array has another shape."""
        count, columns = self._shape
        if columns != width or count < 1 or len(self._bytes) != count * columns:
            raise ValueError(f"its images have shape {list(self._shape)}, not [n, {width}]")
        return torch.frombuffer(bytearray(self._bytes), dtype=torch.uint8).view(count, width)


class ByteType:
    """What numpy's type of unsigned bytes is in a batch file."""

    def __init__(self, name: object, *_: object) -> None:
        if name not in (b"u1", "u1"):
            raise pickle.UnpicklingError("its images are not unsigned bytes")

    def __setstate__(self, state: object) -> None:
        """Byte order and the like, which say nothing of single bytes."""


def _latin1(text: str, encoding: object) -> bytes:
    return text.encode("latin-1")


_STAND_INS = {
    "numpy.core.multiarray _reconstruct": PixelArray,
    "numpy._core.multiarray _reconstruct": PixelArray,  # as numpy 2 writes it
    "numpy ndarray": PixelArray,
    "numpy dtype": ByteType,
    "_codecs encode": _latin1,  # how Python 3 writes bytes in this protocol
}


class _Reader(pickle.Unpickler):
    """The second wall: whatever the check overlooked, a name that is no stand-in is not looked up."""

    def find_class(self, module: str, name: str) -> Any:
        known = _STAND_INS.get(f"{module} {name}")
        if known is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no part of a batch of images")
        return known


def read_table(file: Path) -> tuple[dict[str, object], str]:
    """The dictionary that a batch file holds, keys as text, and the file's md5 sum.

    Raises `UsageError` that names the file if it is missing, too big, truncated, or says anything but plain data.
    """
    try:
        size = file.stat().st_size
        if size > SIZE_LIMIT:
            raise UsageError(f"{file} has {size / 1e6:.0f} MB, more than any batch of CIFAR: unpack the archive anew")
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}; unpack the whole archive there") from error
    try:
        _require_plain(content)
        table = _Reader(io.BytesIO(content), encoding="bytes").load()
        if not isinstance(table, dict):
            raise ValueError("it holds no dictionary")
        named = {as_text(key): value for key, value in table.items()}
    except Exception as error:  # a broken pickle raises a dozen unrelated types; all of them mean the same here
        reason = first_line(error, 120)
        raise UsageError(f"{file} is cut short or tampered with: {reason}; unpack the archive anew") from error
    return named, hashlib.md5(content, usedforsecurity=False).hexdigest()


def _require_plain(content: bytes) -> None:
    end = 0
    argument: Any
    for count, (instruction, argument, position) in enumerate(pickletools.genops(content)):
        if instruction.name not in _INSTRUCTIONS:
            raise ValueError(f"it holds the instruction {instruction.name}, which no batch of images needs")
        if instruction.name == "GLOBAL" and argument not in _STAND_INS:
            raise ValueError(f"it names {argument.replace(' ', '.')}, which is no part of a batch of images")
        if instruction.name in ("BINPUT", "LONG_BINPUT") and argument > count + 1:
            raise ValueError("it asks for memory that it does not use")  # the reader would allocate it
        end = position or 0
    if end + 1 != len(content):
        raise ValueError("something follows its end")


def as_text(value: object) -> str:
    """A key or a name, which Python 2 wrote as bytes; raises `ValueError` if it is neither or not printable."""
    text = value.decode("utf-8") if isinstance(value, bytes) else value
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError(f"{value!r:.40} is not printable text")
    return text
