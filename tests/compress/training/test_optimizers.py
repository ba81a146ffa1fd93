"""Optimisers: what they are made of."""

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from compress.training.optimizers import descend, make_optimizer


def two_networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    one, other = (nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 2)) for _ in range(2))
    other.load_state_dict(one.state_dict())
    return one, other


def test_the_faster_adamw_of_a_cpu_goes_where_the_usual_one_goes() -> None:
    ours, usual = two_networks()
    optimizer, images = make_optimizer("adamw", ours, 0.01, 0.1), torch.rand(8, 6)
    assert optimizer.defaults["fused"]
    groups = [
        {"params": [p for p in usual.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in usual.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    reference = AdamW(groups, 0.01)
    for _ in range(5):
        descend(optimizer, ours(images).square().mean(), 0.01)
        reference.zero_grad()
        usual(images).square().mean().backward()
        reference.step()
    for one, other in zip(ours.parameters(), usual.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_gains_and_biases_do_not_decay(kind: str) -> None:
    network, _ = two_networks()
    optimizer = make_optimizer(kind, network, 0.01, 0.5)
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = {name for name, parameter in network.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {"0.weight", "2.weight"}
