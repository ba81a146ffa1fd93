"""Random numbers that are drawn ahead are those that are drawn one by one."""

import pretend_accelerator
import pytest
import torch

from compress.training.random_numbers import RandomNumbers, new_seed

CPU = torch.device("cpu")


def test_an_accelerator_gets_the_processors_numbers_a_block_at_a_time() -> None:
    here = RandomNumbers(3, CPU)
    with pretend_accelerator.accelerator() as counts:
        there = RandomNumbers(3, pretend_accelerator.DEVICE, ahead=40)
        sent = [there.uniform(5, 2) for _ in range(4)]
        assert (counts.copies, counts.waits) == (1, 0)
        sent.append(there.uniform(50))
        assert counts.copies == 2
        assert [numbers.cpu().tolist() for numbers in sent] == [
            here.uniform(*numbers.shape).tolist() for numbers in sent
        ]


@pytest.mark.parametrize("used", [0, 1, 77])
def test_they_go_on_where_they_were(used: int) -> None:
    whole = RandomNumbers(5, CPU)
    whole.uniform(used)
    continued = RandomNumbers(5, CPU, used=used)
    assert whole.used == continued.used == used
    assert torch.equal(whole.uniform(9), continued.uniform(9))


def test_whole_and_normal_numbers_are_spread_as_they_should() -> None:
    numbers = RandomNumbers(0, CPU)
    whole = numbers.whole(-2, 3, 5000)
    assert torch.bincount(whole + 2).min() > 900
    assert (whole.amin(), whole.amax()) == (-2, 2)
    normal = numbers.normal(100, 200)
    assert normal.dtype == torch.float32
    assert normal.mean().item() == pytest.approx(0, abs=0.02)
    assert normal.std().item() == pytest.approx(1, abs=0.02)


def test_every_new_seed_is_another() -> None:
    randomness = torch.Generator().manual_seed(0)
    assert len({new_seed(randomness) for _ in range(20)}) == 20
