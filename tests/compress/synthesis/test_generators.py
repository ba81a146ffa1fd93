"""A generator reaches every brightness: the images of a data set may be nearly black or nearly white."""

import pytest
import torch

from compress.synthesis.generators import ConditionalGenerator, ImageGenerator, LatentGenerator

TARGETS = torch.arange(8) % 4


def generator(kind: type[ImageGenerator]) -> ImageGenerator:
    torch.manual_seed(0)
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
@pytest.mark.parametrize("kind", [LatentGenerator, ConditionalGenerator])
def test_training_takes_it_to_any_brightness(kind, aim: float) -> None:
    trained = generator(kind)
    optimizer, latents = torch.optim.Adam(trained.parameters(), lr=0.05), torch.randn(8, trained.latent)
    for _ in range(40):
        optimizer.zero_grad()
        (trained(latents, TARGETS).mean() - aim).square().backward()
        optimizer.step()
    assert trained(latents, TARGETS).mean().item() == pytest.approx(aim, abs=0.03)
