"""A generator reaches every brightness, or has the statistics of the teacher's input where its paper says so."""

import pytest
import torch

from compress.synthesis.generators import ConditionalGenerator, ImageGenerator, LatentGenerator, Standardised

TARGETS = torch.arange(8) % 4


STANDARDISED = "latent, standardised"


def generator(kind: type[ImageGenerator] | str) -> ImageGenerator:
    torch.manual_seed(0)
    if kind == STANDARDISED:
        return LatentGenerator((3, 8, 8), latent=8, width=8, end=Standardised(torch.full((3,), 0.5), torch.ones(3) / 4))
    if kind is LatentGenerator:
        return LatentGenerator((3, 8, 8), latent=8, width=8)
    return ConditionalGenerator(4, (3, 8, 8), code=8, width=8)


@pytest.mark.parametrize(("bias", "low", "high"), [(-5.0, 0.0, 0.05), (5.0, 0.95, 1.0)], ids=["dark", "bright"])
@pytest.mark.parametrize("kind", [LatentGenerator, ConditionalGenerator])
def test_the_bias_of_its_last_convolution_is_the_brightness_of_its_images(kind, bias, low, high) -> None:
    untrained = generator(kind)
    with torch.no_grad():
        untrained.paint.bias.fill_(bias)
        mean = untrained(torch.randn(8, untrained.latent), TARGETS).mean().item()
    assert low < mean < high


@pytest.mark.parametrize("aim", [0.05, 0.95], ids=["dark", "bright"])
@pytest.mark.parametrize("kind", [LatentGenerator, ConditionalGenerator, STANDARDISED])
def test_training_takes_it_to_any_brightness(kind, aim: float) -> None:
    trained = generator(kind)
    optimizer, latents = torch.optim.Adam(trained.parameters(), lr=0.05), torch.randn(8, trained.latent)
    for _ in range(40):
        optimizer.zero_grad()
        (trained(latents, TARGETS).mean() - aim).square().backward()
        optimizer.step()
    assert trained(latents, TARGETS).mean().item() == pytest.approx(aim, abs=0.03)


@pytest.mark.parametrize("method", ["dafl", "dfad", "dfq", "zskt"])
def test_generators_without_a_target_end_with_the_statistics_of_the_teachers_input(make_distiller, method: str) -> None:
    generator = make_distiller(method=method).inversion._generator
    assert isinstance(generator.end, Standardised)


@pytest.mark.parametrize("scale", [1e-2, 1.0, 10.0])
def test_a_standardised_batch_begins_with_the_mean_and_deviation_that_are_given(scale: float) -> None:
    mean, std = torch.tensor([0.3, 0.5, 0.6]), torch.tensor([0.05, 0.1, 0.15])
    images = Standardised(mean, std)(scale * torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(images.mean(dim=(0, 2, 3)), mean, atol=0.01)
    assert torch.allclose(images.std(dim=(0, 2, 3)), std, atol=0.01)
    assert 0 <= images.min() < images.max() <= 1
