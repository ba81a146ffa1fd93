"""Images on which a network and its ONNX file are compared."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

IMAGES = 256
"""Number of different images."""
COARSE = (2, 4, 8, 16)
"""Cells across a smooth noise image: noise of single pixels alone activates little of a network."""
AREA, STEP = 1 << 16, 32
"""For networks of any image size: at most so many pixels in an image, with sides that are multiples of STEP."""


class ComparisonImages:
    """`IMAGES` different images of one size with 256 shades in [0, 1], computed when they are accessed.

    They are selected evenly from `images [m, 3, h, w]`. If there are too few and `filled` is set, or if there are none,
    noise images of several grains follow.
    """

    def __init__(self, size: tuple[int, int], images: Tensor | None, *, filled: bool) -> None:
        self.size, self._chosen = size, torch.empty(0, 3, *size)
        if images is not None and len(images):
            candidates = torch.linspace(0, len(images) - 1, min(2 * IMAGES, len(images))).round().long()
            distinct = different(images[candidates])
            self._chosen = distinct[torch.linspace(0, len(distinct) - 1, min(IMAGES, len(distinct))).round().long()]
        self._noise = IMAGES - len(self._chosen) if filled or not len(self._chosen) else 0

    def __len__(self) -> int:
        return len(self._chosen) + self._noise

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all images together."""
        return (len(self), 3, *self.size)

    def __getitem__(self, places: Sequence[int]) -> Tensor:
        """The images at these indices, `[n, 3, *size]`."""
        chosen = [place for place in places if place < len(self._chosen)]
        parts = [in_shades(resized(self._chosen[chosen].float(), self.size))] if chosen else []
        return torch.cat([*parts, *(noise_image(p, self.size)[None] for p in places if p >= len(self._chosen))])

    def batches(self, pixels: int, most: int) -> list[range]:
        """Indices of the images in each batch of at most `pixels` pixels and `most` images."""
        count = min(max(pixels // (self.size[0] * self.size[1]), 1), most)
        return [range(start, min(start + count, len(self))) for start in range(0, len(self), count)]


def probe_size(size: tuple[int, int], *, dynamic_size: bool) -> tuple[int, int]:
    """Height and width of comparison images: the task's own, or smaller ones if the network takes any size."""
    area = size[0] * size[1]
    if not dynamic_size or area <= AREA:
        return size
    shrunk = [max(round(side * (AREA / area) ** 0.5 / STEP), 2) * STEP for side in size]
    return shrunk[0], shrunk[1]


def noise_image(index: int, size: tuple[int, int]) -> Tensor:
    """A noise image `[3, *size]` in [0, 1]: pixel noise for odd, a smooth field for even `index`; reproducible."""
    randomness = torch.Generator().manual_seed(index)
    if index % 2:
        return in_shades(torch.rand(3, *size, generator=randomness))
    cells = COARSE[index // 2 % len(COARSE)]
    field = torch.rand(1, 3, cells, cells, generator=randomness)
    return in_shades(F.interpolate(field, size=size, mode="bilinear")[0])


def noise(count: int, size: tuple[int, int]) -> Tensor:
    """Noise images `[count, 3, *size]`, pixel noise first: it reveals every geometric error."""
    return torch.stack([noise_image(index + 1, size) for index in range(count)])


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images `[n, 3, h, w]` resized to `size`, height and width."""
    return images if images.shape[-2:] == size else F.interpolate(images, size=size, mode="bilinear")


def in_shades(images: Tensor) -> Tensor:
    """The images rounded to 256 shades, so that conversion to bytes is exact."""
    return images.mul(255).round() / 255


def different(images: Tensor) -> Tensor:
    """The distinct images, in order."""
    first: dict[bytes, int] = {}
    for index, pixels in enumerate(images):
        first.setdefault(in_shades(pixels).mul(255).round().to(torch.uint8).numpy().tobytes(), index)
    return images[list(first.values())]
