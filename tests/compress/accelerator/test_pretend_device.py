"""What the pretend device refuses and counts is what CUDA does."""

from collections.abc import Callable

import pretend_accelerator
import pytest
import torch
from small_distillers import EXACT
from torch import Tensor

BAD: list[Callable[[Tensor], object]] = [
    lambda there: there + torch.ones(3),
    lambda there: torch.stack([there.sum(), torch.tensor(1.0)]),
    lambda there: torch.cat([there, torch.ones(1)]),
    lambda there: torch.ones(3)[there.long()],
    lambda there: torch.nn.functional.linear(there, torch.ones(2, 3)),
    lambda there: torch.rand(3, device=there.device, generator=torch.Generator()),
]


@pytest.mark.parametrize("operation", BAD)
def test_the_device_refuses_what_lies_elsewhere(device, operation: Callable[[Tensor], object]) -> None:
    with pytest.raises(RuntimeError, match=r"same device|device type for generator|should be either on"):
        operation(torch.ones(3, device=device))


def test_the_device_takes_what_cuda_takes(device) -> None:
    there = torch.arange(3.0, device=device)
    assert (there + torch.tensor(2.0)).tolist() == [2, 3, 4]
    assert there[torch.tensor([2, 0])].tolist() == [2, 0]


@pytest.mark.skipif(not EXACT, reason="a real device counts nothing")
def test_the_pretend_device_counts_waits_and_copies(device) -> None:
    counts = pretend_accelerator.counts
    there = torch.ones(3).to(device)
    assert (counts.waits, counts.copies) == (0, 1)
    for wait in (there.sum().item, lambda: bool(there.any()), there.nonzero, lambda: there[there > 0]):
        counts.clear()
        wait()
        assert counts.waits == 1
    counts.clear()
    assert there.tolist() == there.cpu().tolist() == [1, 1, 1]
    assert counts.copies == 2
