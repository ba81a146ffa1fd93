"""The teacher-guided GAN: every loss reaches what it should, the formulas are the paper's, images come in all sizes."""

import pytest
import torch
from torch import nn

from compress.gan import losses as gan_losses
from compress.gan.inversion import discriminator_terms
from compress.gan.networks import BigGenerator, Discriminator
from compress.testing import FakeTask

CLASSES, CHANNELS, SIZE = 4, 8, 16


def networks() -> tuple[BigGenerator, Discriminator]:
    torch.manual_seed(0)
    shape = (3, SIZE, SIZE)
    return BigGenerator(CLASSES, shape, 8, 8), Discriminator(CLASSES, shape, 8, CHANNELS)


def gradient(network: nn.Module) -> float:
    return sum(p.grad.abs().sum().item() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("term", ["hinge", "sides", "transfer", "blend"])
def test_every_term_of_the_discriminator_reaches_its_first_convolution(term: str) -> None:
    _, discriminator = networks()
    labels, images = torch.arange(6) % CLASSES, torch.rand(12, 3, SIZE, SIZE)
    terms = discriminator_terms(*discriminator(images), torch.rand(12, CHANNELS), labels)
    terms[term].backward()
    assert gradient(discriminator.blocks[0].conv1) > 0


@pytest.mark.parametrize("term", ["score", "sides", "frequency"])
def test_every_term_of_the_generator_reaches_its_projection_of_latents(term: str) -> None:
    generator, discriminator = networks()
    teacher = FakeTask(positions=False, classes=CLASSES, size=SIZE).teacher()
    labels = torch.arange(6) % CLASSES
    generated = generator(torch.randn(6, 8), labels)
    score, sides, _ = discriminator(generated)
    {
        "score": -score.mean(),
        "sides": gan_losses.passed_off(sides, labels).mean(),
        "frequency": gan_losses.frequency(teacher(generated), torch.ones(CLASSES)),
    }[term].backward()
    assert gradient(generator.project) > 0


def test_blend_crosses_what_transfer_pairs() -> None:
    real, generated = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 0.0]])
    assert gan_losses.transfer(real, generated, real, generated).item() == 0
    assert gan_losses.blend(real, generated, real, generated).item() == 10
    assert gan_losses.blend(real, generated, generated, real).item() == 0


def test_the_head_with_two_sides_a_class_tells_real_from_made() -> None:
    labels = torch.tensor([0, 2])
    real_side, made_side = (torch.nn.functional.one_hot(2 * labels + s, 2 * CLASSES) * 50.0 for s in (0, 1))
    assert gan_losses.told_apart(real_side, made_side, labels).max() < 1e-6
    assert gan_losses.told_apart(made_side, real_side, labels).min() > 50
    assert (gan_losses.passed_off(real_side, labels) < gan_losses.passed_off(made_side, labels)).all()


def test_frequency_weights_follow_the_formula_and_favour_rare_classes() -> None:
    counts = torch.tensor([50.0, 10.0, 1.0, 0.0])
    raw = torch.tensor([0.01 / (1 - 0.99**n) for n in (50, 10, 1, 1)])
    weights = gan_losses.frequency_weights(counts)
    torch.testing.assert_close(weights, raw * 4 / raw.sum())
    assert weights.sum().item() == pytest.approx(4)
    assert weights[0] < weights[1] < weights[2]
    torch.testing.assert_close(
        gan_losses.updated_counts(counts, torch.tensor([10.0, 0, 1, 4])), torch.tensor([30.0, 5, 1, 2])
    )


def test_the_frequency_term_is_lowest_when_no_class_is_rare() -> None:
    even, skewed = torch.zeros(8, 4), torch.zeros(8, 4)
    skewed[:, 0] = 5
    values = [gan_losses.frequency(logits, torch.ones(4)).item() for logits in (even, skewed)]
    assert values[0] == pytest.approx(-torch.log(torch.tensor(4.0)).item())
    assert values[0] < values[1]


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (24, 40)])
def test_the_gan_takes_other_sizes(size: tuple[int, int]) -> None:
    generator, discriminator = BigGenerator(3, (3, *size), 8, 8), Discriminator(3, (3, *size), 8, 5)
    images = generator(torch.randn(2, 8), torch.tensor([0, 2]))
    assert images.shape == (2, 3, *size)
    assert ((images >= 0) & (images <= 1)).all()
    assert [tuple(head.shape) for head in discriminator(images)] == [(2,), (2, 6), (2, 5)]
