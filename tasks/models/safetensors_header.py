"""The header of a safetensors file, read and checked before the tensors are."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from compress.storage.untrusted import plain_json, require_regular

HEADER_LIMIT = 10_000_000
"""Largest header in bytes; each tensor takes about a hundred."""
METADATA = "__metadata__"


def read_header(file: Path) -> dict[str, Any]:
    """The header: tensors by name and, under `__metadata__`, text by name.

    The safetensors library refuses tensors that overlap or lie beyond the file, but accepts two of one name and takes
    the last. Raises `ValueError` if there is no header, or if it has a name twice.
    """
    require_regular(file)
    with file.open("rb") as opened:
        start = opened.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= HEADER_LIMIT:
            raise ValueError(f"its header has {length} bytes")
        header = plain_json(opened.read(length).decode("utf-8"))
    if not isinstance(header, dict) or not isinstance(header.get(METADATA, {}), dict):
        raise ValueError("its header is no table of tensors")
    return header
