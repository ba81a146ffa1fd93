"""Batch normalisation over the batches of all processes."""

from __future__ import annotations

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn

from compress.errors import UsageError
from compress.training.parallel import Workers


def synchronise(network: nn.Module, workers: Workers, device: torch.device) -> None:
    """Let the batch normalisation of a network use the batches of all workers (`SyncBatchNorm`); one has no others.

    The weights are the same tensors under the same names. Raises `UsageError` on a processor, for which torch has none.
    """
    if workers.size == 1:
        return
    if device.type != "cuda":
        raise UsageError(
            "`distillation.sync_batch_norm` needs CUDA, torch has none for the processor: "
            "leave it out, or use `device` cuda"
        )
    for name, child in network.named_children():
        network.add_module(name, convert_sync_batchnorm(child))  # timm's keeps the activation of its own layers
