"""The samples that a replay buffer leaves in a checkpoint: for the report, for scores and for exported files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from compress.errors import UsageError
from compress.storage.run_directory import RunDirectory

AXES = {"images": 4, "draws": 1, "priority": 1, "confidence": 1, "histogram": 2}
"""Columns of a replay buffer's `state_dict()`, and how many axes each has; the first counts the samples."""


def stored_columns(run: RunDirectory) -> Mapping[str, Tensor]:
    """The columns of the replay buffer in the last checkpoint of a run, by name.

    Empty if there is no checkpoint, if the method has no replay buffer, or if an earlier version wrote it, which did
    not count draws. Raises `UsageError` if the columns do not fit together.
    """
    state = run.read_checkpoint().get("buffer") if run.checkpoint.is_file() else None
    if not isinstance(state, Mapping) or not all(isinstance(state.get(name), Tensor) for name in AXES):
        return {}
    columns: dict[str, Tensor] = {name: state[name] for name in AXES}
    axes = {name: column.ndim for name, column in columns.items()}
    if columns["images"].dtype != torch.uint8 or axes != AXES or len({len(c) for c in columns.values()}) > 1:
        raise UsageError(
            f"the checkpoint of {run.path} is broken: its buffer is no table; run it anew with `overwrite`"
        )
    return columns


def in_turns(columns: Mapping[str, Any]) -> Tensor | None:
    """The images of a replay buffer's columns, uint8 `[n, 3, h, w]`, one of each predicted class in turn.

    None if there are none.
    """
    if not len(columns.get("images", ())):
        return None
    images: Tensor = columns["images"].cpu()
    classes = columns["histogram"].float().argmax(dim=1).cpu()
    turns = torch.empty(len(classes), dtype=torch.long)
    for k in set(classes.tolist()):
        members = (classes == k).nonzero().flatten()
        turns[members] = torch.arange(len(members))
    return images[turns.argsort(stable=True)]
