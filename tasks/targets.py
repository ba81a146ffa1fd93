"""Random targets for the inversion."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]
BLOBS, CELLS = 5, 8  # in a label map


def balanced_labels(n: int, num_classes: int, generator: torch.Generator) -> Tensor:
    """Labels `[n]` in random order, balanced over the classes (to within one)."""
    repeats = torch.arange(n) % num_classes
    offset = torch.randint(num_classes, (), generator=generator)
    return ((repeats + offset) % num_classes)[torch.randperm(n, generator=generator)]


def independent_labels(n: int, num_classes: int, generator: torch.Generator) -> Tensor:
    """Labels `[n]`, drawn independently."""
    return torch.randint(num_classes, (n,), generator=generator)


def blob_maps(n: int, size: Size, prior: Tensor, generator: torch.Generator, background: int | None) -> Tensor:
    """Label maps `[n, h, w]` of ragged blobs at random positions, each of a class drawn from `prior [k]`.

    The rest is `background`, or without such a class one class per map, drawn from `prior`.
    """
    height, width = size
    fill = torch.full((n,), background) if background is not None else _classes(prior, (n,), generator)
    maps = fill[:, None, None].expand(n, height, width).clone()
    drawn = _classes(_without(prior, background), (BLOBS, n), generator)
    rows = torch.linspace(0, 1, height)[None, :, None]
    columns = torch.linspace(0, 1, width)[None, None, :]
    for classes in drawn:
        centre = torch.rand(2, n, 1, 1, generator=generator)
        radius = 0.1 + 0.2 * torch.rand(2, n, 1, 1, generator=generator)
        distance = ((rows - centre[0]) / radius[0]) ** 2 + ((columns - centre[1]) / radius[1]) ** 2
        ragged = F.interpolate(torch.randn(n, 1, 9, 9, generator=generator), size=size, mode="bicubic").squeeze(1)
        maps = torch.where(distance + 1.5 * ragged.abs() < 1, classes[:, None, None], maps)
    return maps


def voronoi_maps(n: int, size: Size, prior: Tensor, generator: torch.Generator, background: int | None) -> Tensor:
    """Label maps `[n, h, w]`: each position has the class of the nearest of some random points, drawn from `prior`."""
    points = torch.rand(n, CELLS, 2, 1, generator=generator)
    rows, columns = ((torch.linspace(0, 1, length) - points[:, :, axis]) ** 2 for axis, length in enumerate(size))
    nearest = (rows[..., :, None] + columns[..., None, :]).argmin(dim=1)
    return _classes(prior, (n, CELLS), generator).gather(1, nearest.flatten(1)).view(n, *size)


def noise_maps(n: int, size: Size, prior: Tensor, generator: torch.Generator, background: int | None) -> Tensor:
    """Label maps `[n, h, w]` with an independent class per position, drawn from `prior`."""
    return _classes(prior, (n, *size), generator)


def _classes(prior: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Classes of the given shape, each drawn from `prior [k]`."""
    return torch.multinomial(prior, math.prod(shape), replacement=True, generator=generator).view(shape)


def _without(prior: Tensor, background: int | None) -> Tensor:
    return prior if background is None else prior.index_fill(0, torch.tensor([background]), 0.0)


LABELS: Mapping[str, Callable[[int, int, torch.Generator], Tensor]] = {
    "balanced": balanced_labels,
    "independent": independent_labels,
}
LABEL_MAPS: Mapping[str, Callable[[int, Size, Tensor, torch.Generator, int | None], Tensor]] = {
    "blobs": blob_maps,
    "voronoi": voronoi_maps,
    "noise": noise_maps,
}
