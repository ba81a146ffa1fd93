"""What the parts of `gpu.py` share: small distillers, and the end of what a card was told to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from compress.distillation.distiller import Distiller
from compress.gan.collected import Collected
from compress.methods import METHODS, MethodContext, frozen
from compress.settings import DistillSettings
from compress.storage.settings_files import merged
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers
from compress.training.random_state import seed_all

Say = Callable[..., None]
TINY = {
    "inversion": {"samples": 8, "steps": 2, "latent": 16, "width": 8},
    "distillation": {"rounds": 2, "warmup": 1, "steps": 2, "batch": 8, "lr": 0.05},
}


def distiller(
    compute: Compute, method: str, task: Any, teacher: nn.Module, student: nn.Module, settings: dict[str, Any]
) -> Distiller:
    """A method's distiller on two networks."""
    seed_all(0)
    for network in (frozen(teacher), student):
        compute.place(network)
    own = DistillSettings.model_validate(merged(METHODS[method].defaults, {"method": method}, settings))
    noise = torch.randint(256, (64, *task.spec.image_shape), dtype=torch.uint8)
    collected = Collected(noise, torch.arange(64) % task.spec.num_classes) if METHODS[method].needs_collected else None
    execution = Execution(compute=compute, workers=Workers(), randomness=torch.Generator().manual_seed(0))
    context = MethodContext(
        task=task, teacher=teacher, student=student, settings=own, mirror=True, execution=execution, collected=collected
    )
    return METHODS[method].build(context)


def wait(compute: Compute) -> None:
    """Until a card has done all that it was told."""
    if compute.device.type == "cuda":
        torch.cuda.synchronize()
