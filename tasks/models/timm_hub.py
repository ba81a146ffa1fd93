"""timm models whose names include their weights: `hf-hub:OWNER/NAME[@REVISION]` and `local-dir:FOLDER`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from compress.errors import UsageError, first_line
from compress.storage.checkpoints import require_plain
from compress.storage.untrusted import plain_json, read_bytes
from compress.task import IMAGENET_MEAN, IMAGENET_STD

from .safetensors_header import read_header

LEAST_DEVIATION = 1e-6
"""Smallest standard deviation that is accepted; normalisation by a smaller one overflows."""
HUB, FOLDER = "hf-hub:", "local-dir:"
STORED = (HUB, FOLDER)
"""Prefixes of names of timm models that include their weights."""
ON_HUB = re.compile(r"\w[\w.-]*/\w[\w.-]*(@\w[\w./-]*)?", re.ASCII)
CONFIG_LIMIT = 5_000_000
"""Largest config.json in bytes; the names and descriptions of 21,000 classes take two million."""
WEIGHTS = {".safetensors", ".bin", ".pth", ".tar"}
GROWTH, MARGIN = 4, 100_000_000
"""Memory of a network is limited to GROWTH times its file plus MARGIN bytes: files may be of half precision, and
position embeddings are resampled."""


def require_stored(name: str) -> None:
    """Check the source that timm would load from; raises `UsageError` if it is invalid or no plain model.

    Downloads from the hub cannot be checked before timm reads them, but timm reads weights only.
    """
    if name.startswith(HUB):
        if not ON_HUB.fullmatch(name.removeprefix(HUB)) or ".." in name:
            raise UsageError(f"{name!r} is no model on the hub: give hf-hub:OWNER/NAME or hf-hub:OWNER/NAME@REVISION")
        return
    folder = Path(name.removeprefix(FOLDER))
    try:
        config = plain_json(read_bytes(folder / "config.json", CONFIG_LIMIT))
        if not isinstance(config, dict):
            raise ValueError("config.json is no table")
        files = [file for file in folder.iterdir() if file.suffix in WEIGHTS]
        for file in files:
            (read_header if file.suffix == ".safetensors" else require_plain)(file)
        _require_weights_for(name, sum(file.stat().st_size for file in files))
    except Exception as error:  # timm and broken files raise many exception types
        raise UsageError(
            f"cannot use {name!r}: {first_line(error)}; a folder with a config.json of timm and its weights is expected"
        ) from error


def _require_weights_for(name: str, held: int) -> None:
    import timm

    with torch.device("meta"):
        network = timm.create_model(name)
    normaliser(network.pretrained_cfg)
    needed = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    if needed > GROWTH * held + MARGIN:
        raise ValueError(f"its network takes {needed / 1e6:.0f} MB, its weights have {held / 1e6:.0f} MB")


def normaliser(origin: Mapping[str, Any]) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and deviation of a timm configuration, ImageNet's where it has none; `ValueError` if invalid."""
    configured = (origin.get("mean", IMAGENET_MEAN), origin.get("std", IMAGENET_STD))
    mean, std = (3 * tuple(n) if isinstance(n, (list, tuple)) and len(n) == 1 else n for n in configured)  # 1: grey
    for numbers in (mean, std):
        three = isinstance(numbers, (list, tuple)) and len(numbers) == 3
        if not three or not all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers):
            raise ValueError(f"its mean is {mean!r:.80} and its deviation {std!r:.80}, not three numbers each")
    if min(std) < LEAST_DEVIATION:
        raise ValueError(f"its deviation is {std!r:.80}, not at least {LEAST_DEVIATION}")
    return mean, std
