"""Batch normalisation over the batches of all processes."""

from __future__ import annotations

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn

from compress.errors import UsageError
from compress.training.parallel import Workers


def synchronise(network: nn.Module, workers: Workers, device: torch.device) -> None:
    """Replace batch normalisation by `SyncBatchNorm`, over the batches of all workers; nothing changes for one worker.

    The weights stay the same tensors under the same names. Raises `UsageError` on a CPU, where torch has none.
    """
    if workers.size == 1:
        return
    if device.type != "cuda":
        raise UsageError(
            "`distillation.sync_batch_norm` needs CUDA, torch has no SyncBatchNorm for the CPU: "
            "leave it out, or use `device` cuda"
        )
    for name, child in network.named_children():
        network.add_module(name, convert_sync_batchnorm(child))  # timm's version, which keeps timm's fused activations
