"""Validation of a run's checkpoint: checksums, types and ranges, before a run continues from it."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.storage.marker import require_format

MOST = 2**31
"""Rounds, steps and parts of a batch."""
COUNTS = {"next_round": 0, "step": 0, "micro_batches": 1}
"""Whole numbers in a checkpoint, and the least that each may be."""


def require_sums(file: Path) -> None:
    """Raise `ValueError` unless every record of the archive has the checksum that was written with it."""
    with zipfile.ZipFile(file) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise ValueError(f"its record {broken} does not have the checksum that was written with it")


def require_contents(state: Any, rounds: int | None = None) -> None:
    """Raise `ValueError` that names the entry whose type or range is wrong, for a run of `rounds` if not None."""
    if not isinstance(state, dict):
        raise ValueError("it is no table")
    if "format" in state:
        require_format(state["format"], "it")
    most = MOST if rounds is None else rounds
    for name, least in COUNTS.items():
        limit = most if name == "next_round" else MOST
        if name in state and not (type(state[name]) is int and least <= state[name] <= limit):
            raise ValueError(f"its {name} is {state[name]!r:.40}, not a whole number from {least} to {limit}")
    scale = state.get("learning_rate_scale", 1.0)
    if not _is_number(scale) or not 0 < scale <= 1:
        raise ValueError(f"its learning_rate_scale is {scale!r:.40}, not above 0 and at most 1")
    seconds = state.get("seconds", {})
    durations: list[Any] = list(seconds.values()) if isinstance(seconds, Mapping) else [None]
    if not all(_is_number(value) and 0 <= value < math.inf for value in durations):
        raise ValueError("its seconds are no table of durations")
    require_history(state.get("history", []), most)


def require_history(rows: Any, most: int = MOST) -> None:
    """Raise `ValueError` unless these are rows of numbers by name, one a round, in order, `most` at most."""
    if not isinstance(rows, list) or len(rows) > most:
        raise ValueError(f"its history is not a list of at most {most} rounds")
    for index, row in enumerate(rows):
        named = isinstance(row, dict) and all(isinstance(name, str) for name in row)
        if not named or not all(_is_number(value) for value in row.values()):
            raise ValueError(f"row {index + 1} of its history holds what is no number by name")
        if row.get("round", index) != index:
            raise ValueError(f"row {index + 1} of its history says that it is round {row['round']!r:.40}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
