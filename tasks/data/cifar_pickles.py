"""Reading pickled batches of images without running code: see `compress.storage.pickles`.

The official CIFAR files hold one numpy array beside plain data. Its names are answered with stand-ins that only hold
bytes; neither numpy nor anything else is called by the file.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path

import torch
from torch import Tensor

from compress.errors import UsageError, first_line
from compress.storage.pickles import PlainReader, end_of_plain
from compress.storage.untrusted import read_bytes

SIZE_LIMIT = 200_000_000
"""Bytes; CIFAR-100's training file, the largest, has 155 million."""


class Latin1:
    """Bytes as Python 3 writes them in this protocol, left as text: a file could have the same ones made for ever."""

    def __init__(self, text: str, encoding: object) -> None:
        self.text = text


class PixelArray:
    """What numpy's array is in a batch file: bytes and a shape, two whole numbers."""

    def __init__(self, *_: object) -> None:
        self._content: bytes | Latin1 = b""
        self._shape = 0, 0

    def __setstate__(self, state: object) -> None:
        match state:
            case (int(), (int(rows), int(columns)), ByteType(), False, bytes() | Latin1() as content):
                self._content, self._shape = content, (rows, columns)
            case _:
                raise pickle.UnpicklingError("its images are not an array of bytes with one row per image")

    def rows(self, width: int) -> Tensor:
        """uint8 `[n, width]`; raises `ValueError` if the array has another shape."""
        count, columns = self._shape
        held = self._content.text.encode("latin-1") if isinstance(self._content, Latin1) else self._content
        if columns != width or count < 1 or len(held) != count * columns:
            raise ValueError(f"its images have shape {list(self._shape)}, not [n, {width}]")
        return torch.frombuffer(bytearray(held), dtype=torch.uint8).view(count, width)


class ByteType:
    """What numpy's type of unsigned bytes is in a batch file."""

    def __init__(self, name: object, *_: object) -> None:
        if name not in (b"u1", "u1"):
            raise pickle.UnpicklingError("its images are not unsigned bytes")

    def __setstate__(self, state: object) -> None:
        """Byte order and the like, which say nothing of single bytes."""


_STAND_INS = {
    "numpy.core.multiarray._reconstruct": PixelArray,
    "numpy._core.multiarray._reconstruct": PixelArray,  # as numpy 2 writes it
    "numpy.ndarray": PixelArray,
    "numpy.dtype": ByteType,
    "_codecs.encode": Latin1,
}


def read_table(file: Path) -> tuple[dict[str, object], str]:
    """The dictionary that a batch file holds, keys as text, and the file's md5 sum.

    Raises `UsageError` that names the file if it is missing, too big, truncated, or says anything but plain data.
    """
    try:
        content = read_bytes(file, SIZE_LIMIT)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {file}: {first_line(error)}; unpack the whole archive there") from error
    try:
        if end_of_plain(io.BytesIO(content), _STAND_INS.get) != len(content):
            raise ValueError("it has data after its end")
        table = PlainReader(content, _STAND_INS.get).load()
        if not isinstance(table, dict):
            raise ValueError("it holds no dictionary")
        named = {as_text(key): value for key, value in table.items()}
    except Exception as error:  # broken pickles raise a dozen unrelated exception types
        reason = first_line(error, 120)
        raise UsageError(f"{file} is cut short or tampered with: {reason}; unpack the archive anew") from error
    return named, hashlib.md5(content, usedforsecurity=False).hexdigest()


def as_text(value: object) -> str:
    """A key or a name, which Python 2 wrote as bytes; raises `ValueError` if it is neither or not printable."""
    text = value.decode("utf-8") if isinstance(value, bytes) else value
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError(f"{value!r:.40} is not printable text")
    return text
