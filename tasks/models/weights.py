"""Weights from outside: read without running code, and put into a network only if they fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from compress.errors import UsageError, first_line
from compress.storage.checkpoints import load_plain
from compress.storage.files import digest

from .safetensors_header import read_header

NESTED = ("state_dict", "model_state_dict", "model", "net", "network")
PREFIXES = ("module.", "_orig_mod.", "model.")


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a torch file that holds nothing but plain data.

    State dictionaries under `state_dict` (and the like) and prefixes such as `module.` on every key are unwrapped.
    Raises `UsageError` if the file is missing, broken, holds objects, or holds no tensors.
    """
    if not file.is_file():
        raise UsageError(f"no weights file {file}: give the path of a .safetensors or a torch checkpoint")
    try:
        content = _read(file)
    except Exception as error:  # broken checkpoints raise nine unrelated types; all of them mean the same here
        raise UsageError(
            f"cannot read weights from {file}: {first_line(error)}; "
            "a .safetensors file or a state dictionary saved by torch works"
        ) from error
    for _ in NESTED:  # no deeper: a dictionary may hold itself
        content = _unwrapped(content)
    found = content.items() if isinstance(content, Mapping) else ()
    tensors = {key: value for key, value in found if isinstance(key, str) and isinstance(value, Tensor)}
    if not tensors:
        raise UsageError(f"no weights in {file}: it holds no tensors by name; save the model's state_dict()")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def _read(file: Path) -> object:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        read_header(file)
        return load_file(file)
    return load_plain(file, torch.device("cpu"))


def _unwrapped(content: object) -> object:
    tables = [content[key] for key in NESTED if key in content] if isinstance(content, Mapping) else []
    return next((table for table in tables if isinstance(table, Mapping)), content)


def fit_weights(network: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Load `tensors` into `network`; raises `UsageError` that names what does not fit.

    Weights of parts that a network has in training only, and says so by its `training_only`, are left out.
    """
    network.load_state_dict(fitting(network, tensors, origin), strict=False)


def fitting(network: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> dict[str, Tensor]:
    """What `fit_weights` loads, for a network that may have shapes and no numbers; raises what it raises."""
    wanted, unneeded = network.state_dict(), getattr(network, "training_only", ())
    tensors = {key: value for key, value in tensors.items() if not key.startswith(unneeded)}
    alike = {k: v for k, v in tensors.items() if k in wanted and v.shape == wanted[k].shape}
    complaints = []
    for label, names in (
        ("lacks", [k for k in wanted if k not in tensors and not k.endswith("num_batches_tracked")]),
        ("has unknown", [k for k in tensors if k not in wanted]),
        (
            "differs in shape for",
            [
                f"{k} ({_shape(tensors[k])} in the file, {_shape(wanted[k])} in the network)"
                for k in wanted
                if k in tensors and k not in alike
            ],
        ),
        ("holds NaN or infinity in", [k for k, v in alike.items() if v.is_floating_point() and not v.isfinite().all()]),
    ):
        if names:
            rest = f" and {len(names) - 2} more" if len(names) > 2 else ""
            complaints.append(f"{label} {', '.join(names[:2])}{rest}")
    if complaints:
        raise UsageError(
            f"{origin} does not fit the network: it {'; it '.join(complaints)}; check the name and the classes"
        )
    return tensors


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def fingerprint(network: nn.Module) -> str:
    """SHA-256 of all weights and statistics under their names: what tells one trained network from another."""
    parts: list[str | bytes] = []
    for name, tensor in network.state_dict().items():
        parts += [name, tensor.detach().cpu().contiguous().numpy().tobytes()]
    return digest(*parts)
