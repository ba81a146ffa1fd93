"""Made-up targets for the inversion to aim at."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def balanced_labels(n: int, num_classes: int, generator: torch.Generator) -> Tensor:
    """Labels `[n]` in random order, each class as often as every other (to within one)."""
    repeats = torch.arange(n) % num_classes
    offset = torch.randint(num_classes, (), generator=generator)
    return ((repeats + offset) % num_classes)[torch.randperm(n, generator=generator)]


def blob_maps(
    n: int, size: tuple[int, int], num_classes: int, generator: torch.Generator, background: int | None, blobs: int = 5
) -> Tensor:
    """Label maps `[n, h, w]`: up to `blobs` ragged blobs a map, each of a random class, at random places and sizes.

    What no blob covers is `background`, or one random class a map where there is no such class.
    """
    height, width = size
    fill = (
        torch.full((n,), background)
        if background is not None
        else torch.randint(num_classes, (n,), generator=generator)
    )
    maps = fill[:, None, None].expand(n, height, width).clone()
    drawn = torch.randint(num_classes - (background is not None), (blobs, n), generator=generator)
    if background is not None:
        drawn = drawn + (drawn >= background)
    rows = torch.linspace(0, 1, height)[None, :, None]
    columns = torch.linspace(0, 1, width)[None, None, :]
    for classes in drawn:
        centre = torch.rand(2, n, 1, 1, generator=generator)
        radius = 0.1 + 0.2 * torch.rand(2, n, 1, 1, generator=generator)
        distance = ((rows - centre[0]) / radius[0]) ** 2 + ((columns - centre[1]) / radius[1]) ** 2
        ragged = F.interpolate(torch.randn(n, 1, 9, 9, generator=generator), size=size, mode="bicubic").squeeze(1)
        maps = torch.where(distance + 1.5 * ragged.abs() < 1, classes[:, None, None], maps)
    return maps
