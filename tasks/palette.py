"""Class colours that are distinguishable, also with colour vision deficiency."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
Points = NDArray[np.float64]

FIRST, BLACK, GREY = (0, 114, 178), (0, 0, 0), (128, 128, 128)
DARKEST, PALEST = 0.4, 60  # darker or paler colours look like shadows or haze on a photograph
LEVELS = np.linspace(0, 255, 9).round()
VISIONS = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)
"""Linear RGB as seen with normal vision, protanopia, deuteranopia and tritanopia (Machado et al. 2009)."""
TO_CONES = np.array(
    [[0.41222147, 0.53633254, 0.05144599], [0.2119035, 0.6806995, 0.10739696], [0.08830246, 0.28171884, 0.6299787]]
)
TO_LAB = np.array(
    [[0.21045426, 0.7936178, -0.00407205], [1.9779985, -2.42859221, 0.45059371], [0.02590404, 0.78277177, -0.80867577]]
)
"""Conversion to Oklab (Ottosson 2020), in which distances approximate perceived differences."""


def perceived(colours: Points) -> Points:
    """Colours `[n, 3]`, 0 to 255, as seen with the four kinds of vision: `[4, n, 3]` in Oklab."""
    shares = colours / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    simulated = np.clip(np.einsum("vij,nj->vni", VISIONS, linear), 0, 1)
    points: Points = np.cbrt(simulated @ TO_CONES.T) @ TO_LAB.T
    return points


@lru_cache
def candidates() -> tuple[Points, Points]:
    """Candidate colours `[n, 3]`, neither as dark as shadows nor as pale as haze, and their `seen` values."""
    shades = np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS), axis=-1).reshape(-1, 3)
    shades = shades[(perceived(shades)[0, :, 0] > DARKEST) & (np.ptp(shades, axis=1) > PALEST)]
    return shades, perceived(shades)


@lru_cache
def distinct_colours(count: int, background: int | None) -> tuple[Colour, ...]:
    """Colours chosen greedily, each as far as possible from earlier ones, from the ignored grey and from black.

    Black is the class `background`, if there is one. The distance of two colours is the smallest over the kinds of
    vision.
    """
    shades, points = candidates()
    nearest = distances(points, perceived(np.array([BLACK, GREY, FIRST], float))).min(axis=1)
    chosen: list[Colour] = [FIRST]
    while len(chosen) < count - (background is not None):
        best = int(nearest.argmax())
        red, green, blue = map(int, shades[best])
        chosen.append((red, green, blue))
        nearest = np.minimum(nearest, distances(points, points[:, best : best + 1])[:, 0])
    if background is not None:
        chosen.insert(background, BLACK)
    return tuple(chosen[:count])


def distances(one: Points, other: Points) -> Points:
    """The smallest distance over the four kinds of vision between all points, `[n, m]`."""
    distances: Points = np.linalg.norm(one[:, :, None] - other[:, None], axis=3).min(axis=0)
    return distances
