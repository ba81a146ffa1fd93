"""Optimisers for networks that learn from scratch."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.autograd import backward
from torch.optim import SGD, AdamW, Optimizer


def make_optimizer(kind: Literal["sgd", "adamw"], model: nn.Module, lr: float, weight_decay: float) -> Optimizer:
    """SGD with Nesterov momentum 0.9, or AdamW; weights decay, gains and biases do not."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return SGD(groups, lr, momentum=0.9, nesterov=True) if kind == "sgd" else AdamW(groups, lr)


def descend(optimizer: Optimizer, loss: Tensor, lr: float) -> None:
    """One step on `loss []` at learning rate `lr`."""
    set_rate(optimizer, lr)
    step(optimizer, loss)


def set_rate(optimizer: Optimizer, lr: float) -> None:
    """Let the next step of all parameters be one at learning rate `lr`."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def step(optimizer: Optimizer, loss: Tensor) -> None:
    """One step on `loss []` at the learning rate that the optimiser has; gradients stay to be looked at."""
    optimizer.zero_grad()
    backward(loss)
    optimizer.step()
