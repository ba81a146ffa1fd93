"""Which photographs are drawn: even over the teacher's classes, and those that it is sure of."""

import pytest
import torch
from small_distillers import make
from torch import Tensor

from compress.gan.collected import Collected
from compress.gan.curation import draw_shares
from compress.gan.transfer_set import TransferSet
from compress.task import Statistics
from compress.training.compute import CPU_FLOAT32
from compress.training.random_numbers import RandomNumbers

CLASSES = torch.tensor([0, 0, 0, 0, 2, 2, 1])
CONFIDENCE = torch.tensor([0.1, 0.9, 0.5, 0.7, 0.3, 0.4, 0.2])


def shares(even: bool, confident: float, classes: Tensor = CLASSES, confidence: Tensor = CONFIDENCE) -> Tensor:
    histogram = torch.nn.functional.one_hot(classes, 4).float()
    return draw_shares(Statistics(confidence, histogram), even=even, confident=confident)


@pytest.mark.parametrize("confident", [1.0, 0.5, 0.3, 1e-9])
def test_every_class_that_occurs_has_the_same_share_however_few_photographs_it_keeps(confident: float) -> None:
    of_class = torch.zeros(4).index_add_(0, CLASSES, shares(True, confident))
    torch.testing.assert_close(of_class, torch.tensor([1 / 3, 1 / 3, 1 / 3, 0]))


def test_photographs_that_are_not_evened_out_are_all_as_frequent() -> None:
    torch.testing.assert_close(shares(False, 1.0), torch.full((7,), 1 / 7))


@pytest.mark.parametrize(("confident", "drawn"), [(1.0, [0, 1, 2, 3, 4, 5, 6]), (0.5, [1, 3, 5, 6]), (1e-9, [1, 5, 6])])
@pytest.mark.parametrize("even", [True, False])
def test_the_most_confident_of_each_class_are_drawn_and_never_none(even: bool, confident: float, drawn) -> None:
    assert shares(even, confident).nonzero().flatten().tolist() == drawn


def test_a_share_of_a_hundred_photographs_is_its_percentage() -> None:
    classes, confidence = torch.zeros(100).long(), torch.arange(100) / 100
    drawn = [int((shares(True, percent / 100, classes, confidence) > 0).sum()) for percent in range(1, 101)]
    assert drawn == list(range(1, 101))


def test_the_class_of_a_label_map_is_that_of_most_positions() -> None:
    histogram = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
    even = draw_shares(Statistics(torch.tensor([0.5, 0.9, 0.1]), histogram), even=True, confident=1.0)
    torch.testing.assert_close(even, torch.tensor([0.25, 0.25, 0.5]))


def test_a_transfer_set_draws_what_it_is_surest_of_and_holds_nothing_else(numbers: RandomNumbers) -> None:
    images = torch.arange(0, 200, 10, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 3, 4, 4)

    def surer_of_bright(batch: Tensor) -> Tensor:
        return torch.stack([9 * batch.mean(dim=(1, 2, 3)), torch.zeros(len(batch))], dim=1)

    chosen = TransferSet(Collected(images, None), surer_of_bright, CPU_FLOAT32, confident=0.25)
    assert chosen.draw(500, numbers)[:, 0, 0, 0].unique().tolist() == [150, 160, 170, 180, 190]


def test_kd_leaves_out_what_the_teacher_is_unsure_of(numbers: RandomNumbers) -> None:
    distiller = make(torch.device("cpu"), "kd", distillation={"collected_confident": 0.2})
    samples, _ = distiller.inversion.round(0, torch.Generator())
    distiller.buffer.add(samples)
    drawn = distiller.buffer.draw(2000, numbers).index.unique()
    assert len(drawn) < len(samples.images) / 2
    for kind in samples.targets.unique():
        of_kind = (samples.targets == kind).nonzero().flatten()
        most = of_kind[samples.statistics.confidence[of_kind].argmax()]
        assert most in drawn
