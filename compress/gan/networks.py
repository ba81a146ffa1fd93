"""A class-conditional GAN for small images, after BigGAN (Brock et al., ICLR 2019, appendix B)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SMALLEST_MAP = 4  # pixels; the generator upsamples by two from there
FINAL_MAP = 8  # pixels; the discriminator downsamples by two to there
PLAIN_BLOCKS = 2  # blocks of the discriminator after those that downsample


def _convolution(inputs: int, outputs: int, size: int = 3) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2)
    nn.init.orthogonal_(layer.weight)
    return spectral_norm(layer)


def _linear(inputs: int, outputs: int) -> nn.Module:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight)
    return spectral_norm(layer)


class ConditionalNorm(nn.Module):
    """Batch normalisation with a gain and a bias per class."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain, self.bias = nn.Embedding(num_classes, channels), nn.Embedding(num_classes, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features `[n, c, h, w]` of labels `[n]`."""
        gain, bias = (table(labels)[..., None, None].to(features.dtype) for table in (self.gain, self.bias))
        return torch.addcmul(bias, self.norm(features), gain)


class GeneratorBlock(nn.Module):
    """Residual block of two convolutions at the upsampled size (BigGAN, figure 15b)."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ConditionalNorm(width, num_classes), ConditionalNorm(width, num_classes)
        self.conv1, self.conv2 = _convolution(width, width), _convolution(width, width)
        self.shortcut = _convolution(width, width, 1)

    def forward(self, features: Tensor, labels: Tensor, size: tuple[int, int]) -> Tensor:
        """`[n, width, *] -> [n, width, *size]`."""
        inner = F.interpolate(F.relu(self.norm1(features, labels)), size=size, mode="nearest")
        inner = self.conv2(F.relu(self.norm2(self.conv1(inner), labels)))
        result: Tensor = inner + F.interpolate(self.shortcut(features), size=size, mode="nearest")
        return result


class BigGenerator(nn.Module):
    """Latents and labels to images: for 32 pixels three blocks, from a 4x4 map."""

    def __init__(self, num_classes: int, image_shape: tuple[int, int, int], latent: int, width: int) -> None:
        super().__init__()
        _, *size = image_shape
        scales = [tuple(size)]
        while min(scales[0]) >= 2 * SMALLEST_MAP:
            scales.insert(0, tuple(-(-side // 2) for side in scales[0]))
        self.latent, self._width, self._scales = latent, width, scales
        self.project = _linear(latent, width * scales[0][0] * scales[0][1])
        self.blocks = nn.ModuleList(GeneratorBlock(width, num_classes) for _ in scales[1:])
        self.norm = nn.BatchNorm2d(width)
        self.paint = _convolution(width, 3)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Images `[n, 3, h, w]` in [0, 1] for latents `[n, latent]` and labels `[n]`."""
        features = self.project(latents).view(len(latents), self._width, *self._scales[0])
        features = features.contiguous(memory_format=torch.channels_last)
        for block, size in zip(self.blocks, self._scales[1:], strict=True):
            features = block(features, labels, size)
        return torch.sigmoid(self.paint(F.relu(self.norm(features))).float())


class DiscriminatorBlock(nn.Module):
    """Residual block of two convolutions, optionally with average pooling by two (BigGAN, figure 15c)."""

    def __init__(self, inputs: int, outputs: int, *, halve: bool, first: bool = False) -> None:
        super().__init__()
        self._halve, self._first = halve, first
        self.conv1, self.conv2 = _convolution(inputs, outputs), _convolution(outputs, outputs)
        self.shortcut = _convolution(inputs, outputs, 1) if inputs != outputs or halve else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """`[n, inputs, h, w] -> [n, outputs, h, w]`, or half of h and w with pooling."""
        inner = self.conv2(F.relu(self.conv1(features if self._first else F.relu(features))))
        result: Tensor = inner + self.shortcut(features)
        return F.avg_pool2d(result, 2) if self._halve else result


class Discriminator(nn.Module):
    """Discriminator with three heads: real or generated, class, and the teacher's features.

    The heads share one feature vector: `score [n]`, high for real; `sides [n, 2k]`, where class c is 2c if real and 2c
    + 1 if generated (ADC-GAN, Hou et al., ICML 2022); `guess [n, t]`, a prediction of the teacher's penultimate
    features.
    """

    def __init__(self, num_classes: int, image_shape: tuple[int, int, int], width: int, teacher_channels: int) -> None:
        super().__init__()
        blocks, side, inputs = [], min(image_shape[1:]), 3
        while side > FINAL_MAP or inputs == 3:
            blocks.append(DiscriminatorBlock(inputs, width, halve=True, first=inputs == 3))
            side, inputs = side // 2, width
        self.blocks = nn.Sequential(
            *blocks, *(DiscriminatorBlock(width, width, halve=False) for _ in range(PLAIN_BLOCKS))
        )
        self.score, self.sides = _linear(width, 1), _linear(width, 2 * num_classes)
        self.guess = nn.Linear(
            width, teacher_channels
        )  # no spectral norm: its outputs have the scale of the teacher's features

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`score`, `sides` and `guess` of images `[n, 3, h, w]` in [0, 1]."""
        features = F.relu(self.blocks(images * 2 - 1)).float().sum(dim=(2, 3))
        return self.score(features).squeeze(1).float(), self.sides(features).float(), self.guess(features).float()
