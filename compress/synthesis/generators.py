"""Generators: networks that map latents, and optionally targets, to images."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CODE = 32  # channels of the smallest map


def _scales(size: tuple[int, int], smallest: int) -> list[tuple[int, int]]:
    """Sizes of the feature maps, doubling from about `smallest` pixels up to `size`."""
    scales = [size]
    while min(scales[0]) >= 2 * smallest:
        scales.insert(0, (-(-scales[0][0] // 2), -(-scales[0][1] // 2)))
    return scales


class ConditionalGenerator(nn.Module):
    """FastDFKD's generator with the target as a second input, for label maps and for classes with similar images.

    Latents `[n, latent]` become a small map that is upsampled by two until it has the image's size and ends in a
    sigmoid. The paper's generator depends on the target only through the optimised latent, and a few steps cannot fit a
    latent to a whole label map. Here the target, resized to each map, is an additional input of every convolution. A
    class label is a label map with one position, so both tasks share this code. Like the paper's, it always stays in
    training mode.

    The latents are a code and, for every size, a noise map that is another input of its convolution (as in StyleGAN,
    Karras et al. 2019). Without the noise, each class in an image has one repeating texture.
    """

    def __init__(self, num_classes: int, image_shape: tuple[int, int, int], code: int = 256, width: int = 128) -> None:
        super().__init__()
        _, *size = image_shape
        scales = _scales((size[0], size[1]), smallest=6)
        self._num_classes, self._scales = num_classes, scales
        self._parts = [code, *(height * width for height, width in scales)]
        self.latent = sum(self._parts)
        self.project = nn.Linear(code, CODE * scales[0][0] * scales[0][1])
        half, quarter = max(width // 2, 1), max(width // 4, 1)
        widths = [CODE, *[width] * max(len(scales) - 2, 0), *[half] * (len(scales) > 1), quarter]
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in widths)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before + num_classes + 1, after, 3, padding=1) for before, after in pairwise(widths)
        )
        self.paint = nn.Conv2d(quarter, 3, 3, padding=1)

    def forward(self, latents: Tensor, targets: Tensor | None) -> Tensor:
        """Images `[n, 3, h, w]` in [0, 1] for latents `[n, latent]` and targets `[n, *s]`, which are required."""
        assert targets is not None
        one_hot = self._one_hot(targets)
        code, *noise = torch.split(latents, self._parts, dim=1)
        features = self.project(code).view(len(latents), CODE, *self._scales[0])
        features = features.contiguous(memory_format=torch.channels_last)
        *norms, last = self.norms
        for scale, grain, norm, convolution in zip(self._scales, noise, norms, self.convolutions, strict=True):
            features = F.leaky_relu(F.interpolate(norm(features), size=scale, mode="nearest"), 0.2)
            condition = F.interpolate(one_hot, size=scale, mode="area")
            inputs = torch.cat([condition, grain.view(-1, 1, *scale)], dim=1).to(features.dtype)
            features = convolution(torch.cat([features, inputs], dim=1))
        return torch.sigmoid(self.paint(F.leaky_relu(last(features), 0.2)).float())

    def _one_hot(self, targets: Tensor) -> Tensor:
        classes = torch.arange(self._num_classes, device=targets.device).view(-1, *[1] * (targets.ndim - 1))
        one_hot = (targets.unsqueeze(1) == classes).float()
        return one_hot if one_hot.ndim == 4 else one_hot[..., None, None]


class LatentGenerator(nn.Module):
    """FastDFKD's generator: its only input is the latents, which the inversion optimises for the targets.

    It reaches a target more slowly than a conditional generator, but its samples of one class stay different; a
    conditional one soon makes one image per class. Latents `[n, latent]` become a small map that is upsampled by two,
    with convolution, batch normalisation and leaky ReLU, until it has the image's size. It stays in training mode.

    The paper's generator starts from maps of a quarter of the image's size. This one starts from maps of 4 to 7 pixels,
    so that it can place whole objects. Like the paper's, it ends in a convolution and `end`, a sigmoid by default.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], latent: int = 256, width: int = 128, end: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.latent, self._scales = latent, _scales(image_shape[1:], smallest=4)
        self.project = nn.Linear(latent, width * self._scales[0][0] * self._scales[0][1])
        widths = [*[width] * (len(self._scales) - 1), width // 2] if len(self._scales) > 1 else [width]
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in widths)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1, bias=False) for before, after in pairwise(widths)
        )
        self.paint = nn.Conv2d(widths[-1], 3, 3, padding=1)
        self.end = end or nn.Sigmoid()

    def forward(self, latents: Tensor, targets: Tensor | None) -> Tensor:
        """Images `[n, 3, h, w]` in [0, 1] for latents `[n, latent]`; targets are ignored."""
        features = self.project(latents).view(len(latents), -1, *self._scales[0])
        features = self.norms[0](features.contiguous(memory_format=torch.channels_last))
        for scale, convolution, norm in zip(self._scales[1:], self.convolutions, self.norms[1:], strict=True):
            features = F.leaky_relu(norm(convolution(F.interpolate(features, size=scale, mode="nearest"))), 0.2)
        images: Tensor = self.end(self.paint(features).float())
        return images


class Standardised(nn.Module):
    """An end of a generator whose batches begin with the mean and deviation of the teacher's training images.

    DAFL, DFAD and ZSKT feed their generator's output, normalised over the batch, to a network that expects normalised
    images: the first two tanh and then a batch normalisation without scale and shift, the last one with both. Images
    here are in [0, 1], so the teacher's own normalisation, `mean [3]` and `std [3]`, is undone after that. Scale and
    shift are learned, since a teacher may normalise by other numbers than those of its data. Values outside [0, 1] are
    cut off. `tests/benchmarks/generator_endings.py` compares the ends.
    """

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.register_buffer("_mean", mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", std.view(1, 3, 1, 1), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Images `[n, 3, h, w]` in [0, 1] for values of the same shape."""
        images: Tensor = self._mean + self._std * self.norm(values.tanh())
        return images.clamp(0, 1)


ImageGenerator = ConditionalGenerator | LatentGenerator


@torch.no_grad()
def reinitialise(generator: ImageGenerator, randomness: torch.Generator) -> None:
    """Replace all weights by new random ones with the distribution of a new generator, U(±1/√fan-in)."""
    drawn: list[tuple[nn.Parameter, Tensor]] = []
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Linear | nn.Conv2d):
            bound = module.weight[0].numel() ** -0.5
            for parameter in module.parameters():
                drawn.append((parameter, torch.rand(parameter.shape, generator=randomness).mul(2).sub(1).mul(bound)))
    device = next(generator.parameters()).device
    values = torch.cat([layer.flatten() for _, layer in drawn]).to(device)  # one copy to the device, not one per layer
    parts = torch.split(values, [parameter.numel() for parameter, _ in drawn])
    for (parameter, _), part in zip(drawn, parts, strict=True):
        parameter.copy_(part.view(parameter.shape))
