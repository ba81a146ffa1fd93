"""Images that a network and its file are compared on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IMAGES = 256
"""Different ones that the network in a file is compared on."""
COARSE = (2, 4, 8, 16)
"""Cells across a smooth image: noise of single pixels alone leaves much of a network unmoved."""


def probes(size: tuple[int, int], images: Tensor | None, *, filled: bool) -> Tensor:
    """`IMAGES` different images, float `[n, 3, *size]` of 256 shades in [0, 1].

    As many as there are of `images [m, 3, h, w]`, evenly spread, and where `filled` or there are none, noise of several
    grains for the rest.
    """
    chosen = torch.empty(0, 3, *size)
    if images is not None and len(images):
        spread = torch.linspace(0, len(images) - 1, min(4 * IMAGES, len(images))).round().long()
        chosen = different(in_shades(resized(images[spread].float(), size)))
        chosen = chosen[torch.linspace(0, len(chosen) - 1, min(IMAGES, len(chosen))).round().long()]
    if not filled and len(chosen):
        return chosen
    return torch.cat([chosen, noise(IMAGES - len(chosen), size)])


def noise(count: int, size: tuple[int, int]) -> Tensor:
    """`[count, 3, *size]` in [0, 1]: single pixels and smooth fields in turn, the same every time."""
    randomness = torch.Generator().manual_seed(1)
    made = torch.rand(count, 3, *size, generator=randomness)
    for index in range(0, count, 2):
        cells = COARSE[index // 2 % len(COARSE)]
        field = torch.rand(1, 3, cells, cells, generator=randomness)
        made[index] = F.interpolate(field, size=size, mode="bilinear")[0]
    return in_shades(made)


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images `[n, 3, h, w]` at `size`."""
    return images if images.shape[-2:] == size else F.interpolate(images, size=size, mode="bilinear")


def in_shades(images: Tensor) -> Tensor:
    """Of 256 shades, so that they are the same as bytes."""
    return images.mul(255).round() / 255


def different(images: Tensor) -> Tensor:
    """Each image once, in order."""
    first: dict[bytes, int] = {}
    for index, pixels in enumerate(images.mul(255).round().to(torch.uint8)):
        first.setdefault(pixels.numpy().tobytes(), index)
    return images[list(first.values())]
