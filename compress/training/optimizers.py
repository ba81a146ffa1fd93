"""Optimisers whose whole step runs on the device, where it can also be skipped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeVar

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
        return _capturable(AdamW(groups, lr, fused=True))
    optimizer = SGD(groups, lr, momentum=0.9, nesterov=True, fused=True)
    for parameter in model.parameters():
        # if the first step is skipped, torch leaves its momentum uninitialised
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def adam(parameters: Iterable[Tensor], lr: float, betas: tuple[float, float]) -> Adam:
    """Adam; groups with a rate of their own can be added."""
    return _capturable(Adam(list(parameters), lr, betas=betas, fused=True))


Moments = TypeVar("Moments", Adam, AdamW)


def _capturable(optimizer: Moments) -> Moments:
    """The optimiser, set to `capturable` on CUDA so that its steps can be recorded; torch refuses that elsewhere."""
    if optimizer.param_groups[0]["params"][0].device.type == "cuda":
        for group in (*optimizer.param_groups, optimizer.defaults):  # the defaults are those of groups added later
            group["capturable"] = True
        # prevents torch's warning at the first step without a graph, which does not apply to fused optimisers
        optimizer._warned_capturable_if_run_uncaptured = True
    return optimizer


@torch.no_grad()
def restart(optimizer: Optimizer) -> None:
    """Reset the state in place, because a recorded step uses the same memory."""
    for state in optimizer.state.values():
        for value in state.values():
            value.zero_()


def descend(optimizer: Optimizer, loss: Tensor, lr: float) -> None:
    """One step on `loss []` at learning rate `lr`."""
    set_rate(optimizer, lr)
    step(optimizer, loss)


def set_rate(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of all parameters."""
    set_rates(optimizer, [lr] * len(optimizer.param_groups))


def set_rates(optimizer: Optimizer, rates: Iterable[float]) -> None:
    """Set the learning rate of each group."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def rates_on_device(optimizer: Optimizer, device: torch.device | None) -> None:
    """Keep learning rates as tensors on `device`, where a recorded step reads them; with None, as plain numbers.

    `capturable` is set again, because a state that was loaded may come from another device.
    """
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = group["params"][0].device.type == "cuda"
        rate = float(group["lr"])
        group["lr"] = rate if device is None else torch.tensor(rate, device=device)


def step(optimizer: Optimizer, loss: Tensor) -> None:
    """One step on `loss []` at the optimiser's learning rate; the gradients are kept."""
    optimizer.zero_grad()
    backward(loss)
    optimizer.step()
