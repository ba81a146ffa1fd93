"""Mixed images: what they consist of, and how values of images and of mixed images stand to each other."""

import pytest
import torch

from compress.training.mixing import MIXES, NUMBERS_PER_BATCH, Mix, cutmix
from compress.training.random_numbers import RandomNumbers

IMAGES = torch.rand(6, 3, 20, 30, generator=torch.Generator().manual_seed(1))


def draws(count: int) -> list[RandomNumbers]:
    """As many different seeds."""
    return [RandomNumbers(seed, torch.device("cpu")) for seed in range(count)]


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_the_mean_of_mixed_images_is_that_of_both_by_their_shares(mix: Mix) -> None:
    flat = torch.rand(6, 1, 1, 1).expand(-1, 3, 20, 30)
    for numbers in draws(20):
        mixed = mix(flat, numbers)
        assert torch.allclose(mixed.images.mean(dim=(1, 2, 3)), mixed.of_both(flat[:, 0, 0, 0]), atol=1e-5)


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_shares_cover_the_whole_range(mix: Mix) -> None:
    shares = torch.stack([mix(IMAGES, numbers).own for numbers in draws(300)])
    assert shares.min() < 0.2
    assert shares.max() > 0.9
    assert (shares >= 0).all()
    assert (shares <= 1).all()


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_a_mix_takes_no_more_numbers_than_were_sent_ahead(mix: Mix, numbers: RandomNumbers) -> None:
    mix(IMAGES, numbers)
    assert numbers.used <= NUMBERS_PER_BATCH


def test_cutmix_puts_one_box_of_the_partner_into_each_image() -> None:
    for numbers in draws(20):
        images = cutmix(IMAGES, numbers).images
        foreign = (images != IMAGES).all(dim=1)
        assert torch.equal(torch.where(foreign[:, None], IMAGES.flip(0), IMAGES), images)
        assert (foreign == foreign[0]).all()
        rows, columns = foreign[0].any(dim=1), foreign[0].any(dim=0)
        assert torch.equal(foreign[0], rows[:, None] & columns[None])
        assert rows.float().diff().abs().sum() <= 2
        assert columns.float().diff().abs().sum() <= 2


def test_credit_given_to_both_images_keeps_the_sum_of_a_batch(numbers: RandomNumbers) -> None:
    divergence = torch.rand(6)
    mixed = cutmix(IMAGES, numbers)
    assert torch.isclose(mixed.of_both(divergence).sum(), divergence.sum())


def test_the_shares_of_several_workers_are_mixed_each_by_itself(numbers: RandomNumbers) -> None:
    values = torch.rand(6)
    mixed = cutmix(IMAGES[:3], numbers)
    together = mixed.of_both(values, parts=2)
    assert torch.equal(together, torch.cat([mixed.of_both(values[:3]), mixed.of_both(values[3:])]))
