"""Networks without numbers: their names and shapes alone, at no cost in memory where the network can be made so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from compress.errors import UsageError

from . import create_model
from .binary import bare
from .timm_hub import GROWTH, MARGIN

SKETCHED_CLASSES = 1000


def sketch(task: str, name: str, arguments: Mapping[str, Any], classes: int = SKETCHED_CLASSES) -> nn.Module:
    """A network of so many classes; with numbers if it cannot be made without, as some of SMP's transformers.

    Raises `UsageError` for what cannot be made at all.
    """
    try:
        with torch.device("meta"):
            network = create_model(task, name, classes, arguments=arguments).network
    except UsageError:
        network = create_model(task, name, classes, arguments=arguments).network
    return bare(network)


def require_weights_for(network: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Raise `UsageError` for a network that would take far more memory than its weights do."""
    needed = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    held = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if needed > GROWTH * held + MARGIN:
        raise UsageError(
            f"cannot use {origin}: its network takes {needed / 1e6:.0f} MB, its weights have {held / 1e6:.0f} MB"
        )
