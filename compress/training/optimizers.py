"""Optimisers whose whole step runs on the device, and that can be told there not to take it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.autograd import backward
from torch.optim import SGD, Adam, AdamW, Optimizer


def make_optimizer(kind: Literal["sgd", "adamw"], model: nn.Module, lr: float, weight_decay: float) -> Optimizer:
    """SGD with Nesterov momentum 0.9, or AdamW; normalisation weights and biases have no weight decay."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if kind == "adamw":
        return AdamW(groups, lr, fused=True, capturable=_on_gpu(model.parameters()))
    optimizer = SGD(groups, lr, momentum=0.9, nesterov=True, fused=True)
    for parameter in model.parameters():
        # torch leaves the first step's momentum as it was allocated when that step is not taken
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def adam(parameters: Iterable[Tensor], lr: float, betas: tuple[float, float]) -> Adam:
    """Adam; groups with a rate of their own can be added."""
    listed = list(parameters)
    return Adam(listed, lr, betas=betas, fused=True, capturable=_on_gpu(listed))


def _on_gpu(parameters: Iterable[Tensor]) -> bool:
    """A GPU's step can be captured; torch refuses to say so of another device's."""
    return any(parameter.device.type == "cuda" for parameter in parameters)


def descend(optimizer: Optimizer, loss: Tensor, lr: float) -> None:
    """One step on `loss []` at learning rate `lr`."""
    set_rate(optimizer, lr)
    step(optimizer, loss)


def set_rate(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


def rates_on_device(optimizer: Optimizer, device: torch.device | None) -> None:
    """Keep learning rates as tensors there, where a recorded step looks them up; None: as plain numbers."""
    for group in optimizer.param_groups:
        rate = float(group["lr"])
        group["lr"] = rate if device is None else torch.tensor(rate, device=device)


def step(optimizer: Optimizer, loss: Tensor) -> None:
    """One step on `loss []` at the optimiser's learning rate; the gradients are kept."""
    optimizer.zero_grad()
    backward(loss)
    optimizer.step()
