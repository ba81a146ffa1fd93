"""The inputs of a run besides its settings: digests of weights and data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compress.errors import UsageError
from compress.methods import MethodContext
from compress.settings import DistillSettings
from compress.storage.files import digest
from compress.storage.settings_files import load_config
from compress.task import HeldOut
from compress.tasks.models import STORED, NormalisedModel, fingerprint, fit_weights, read_weights
from compress.tasks.models.model_folder import weights_file
from compress.tasks.models.teacher_folders import is_place


def origin_of(context: MethodContext, held_out: HeldOut) -> dict[str, str]:
    """SHA-256 of the teacher's weights, the held-out data and the collected images, by name."""
    origin = {
        "the teacher's weights": fingerprint(context.teacher),
        "the held-out data": _digest(part for b in held_out.batches() for part in (b.images, b.targets)),
    }
    if context.collected is not None:
        labels = context.collected.labels
        origin["the collected images"] = _digest([context.collected.images, *([] if labels is None else [labels])])
    return origin


def _digest(tensors: Iterable[Tensor]) -> str:
    return digest(*(digest(tensor.contiguous().numpy().tobytes()) for tensor in tensors))


def require_same_settings(folder: Path, values: Mapping[str, Any]) -> None:
    """Raise `UsageError` that names the settings that differ from those of the run in `folder`, but for places."""
    before = DistillSettings().model_dump(mode="json") | load_config(str(folder / "config.yaml"))
    changed = [key for key in values if values[key] != before.get(key) and not _is_place(key, values[key])]
    if changed:
        raise UsageError(f"`resume` changes nothing, but {', '.join(changed)} differs from {folder}/config.yaml")


def _is_place(key: str, value: object) -> bool:
    """Whether a setting says only where something lies: `origin_of` compares what does."""
    return key in ("teacher_weights", "data_root", "collected") or (
        key == "teacher"
        and isinstance(value, str)
        and (value.startswith(STORED) or is_place(value, DistillSettings().task))
    )


def require_same_origin(before: dict[str, str] | None, now: dict[str, str], folder: Path) -> None:
    """Raise `UsageError` if inputs differ from those that the run in `folder` started with."""
    if before is None:
        raise UsageError(f"the run in {folder} was begun by another version of compress: run it anew with `overwrite`")
    changed = [name for name in now if now[name] != before.get(name)]
    if changed:
        raise UsageError(
            f"`resume` changes nothing, but {', '.join(changed)} differ from what the run in {folder} began with"
        )


def begin_with(student: NormalisedModel, model: Path) -> str:
    """Give the student the weights of a saved model and return their SHA-256; `UsageError` if they do not fit."""
    file = weights_file(model)
    fit_weights(student.network, read_weights(file), str(file))
    return fingerprint(student)


@torch.no_grad()
def inherit(student: nn.Module, teacher: nn.Module) -> int:
    """Give the student what its teacher has under the same name and in the same shape; returns how many tensors.

    Of networks of one family, such as a segmenter and one with fewer stages of the same encoder, these are whole
    stages. How either of them normalises its input is not touched.
    """
    theirs = _network(teacher).state_dict()
    ours = _network(student).state_dict()
    shared = [name for name, tensor in ours.items() if name in theirs and theirs[name].shape == tensor.shape]
    for name in shared:
        ours[name].copy_(theirs[name])
    return len(shared)


def _network(model: nn.Module) -> nn.Module:
    return model.network if isinstance(model, NormalisedModel) else model
