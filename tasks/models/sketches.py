"""Networks on the meta device: names and shapes of their weights, without memory for the values."""

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
    """A network of `classes` classes on the meta device, or on the CPU where that fails, as for SMP's transformers.

    Raises `UsageError` if it cannot be built at all.
    """
    try:
        with torch.device("meta"):
            network = create_model(task, name, classes, arguments=arguments).network
    except UsageError:
        network = create_model(task, name, classes, arguments=arguments).network
    return bare(network)


def require_weights_for(network: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Raise `UsageError` for a network that would take far more memory than its weights."""
    needed = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    held = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if needed > GROWTH * held + MARGIN:
        raise UsageError(
            f"cannot use {origin}: its network takes {needed / 1e6:.0f} MB, its weights have {held / 1e6:.0f} MB"
        )
