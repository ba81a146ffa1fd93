"""Numbers that a network cannot hold as they are: each kind is refused by name, real ones of any precision not."""

from pathlib import Path

import pytest
import torch
from torch import nn

from compress.errors import UsageError
from compress.tasks.models import fit_weights, read_weights

REAL = [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


BROKEN = {
    "beyond float32": ("0.weight", lambda value: value.double() * 0 + 1e300, "values that overflow in float32"),
    "complex": ("0.weight", lambda value: value.to(torch.complex64), "complex64 values"),
    "int8": ("0.weight", lambda value: value.to(torch.int8), "int8 values"),
    "bool": ("0.bias", lambda value: value > 0, "bool values"),
    "negative variance": ("1.running_var", lambda value: -value, "a negative variance"),
    "NaN": ("0.weight", lambda value: value * float("nan"), "NaN or infinity"),
    "NaN in eight bits": ("0.weight", lambda v: (v * float("nan")).to(torch.float8_e4m3fn), "NaN or infinity"),
    "a fraction of a count": ("1.num_batches_tracked", lambda value: value + 0.5, "where integers are needed"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", BROKEN)
def test_what_a_network_cannot_hold_is_refused(case: str, tmp_path: Path) -> None:
    name, change, complaint = BROKEN[case]
    state = network().state_dict()
    torch.save({**state, name: change(state[name])}, tmp_path / "weights.pt")
    with pytest.raises(UsageError, match=rf"{complaint}[^\n]* in {name}"):
        fit_weights(network(), read_weights(tmp_path / "weights.pt"), "weights.pt")


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_real_numbers_of_every_precision_are_taken(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {
        name: value.to(dtype) if value.is_floating_point() else value for name, value in network().state_dict().items()
    }
    torch.save(state, tmp_path / "weights.pt")
    filled = network()
    fit_weights(filled, read_weights(tmp_path / "weights.pt"), "weights.pt")
    assert torch.equal(filled[0].weight, state["0.weight"].float())
