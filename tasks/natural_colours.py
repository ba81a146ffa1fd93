"""Natural colours for common classes that remain distinguishable with colour vision deficiency."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from .palette import BLACK, GREY, Colour, Points, candidates, distances, distinct_colours, perceived

NATURAL: dict[str, Colour] = {
    "sky": (110, 185, 240), "cloud": (190, 215, 240), "tree": (50, 140, 50), "vegetation": (50, 140, 50),
    "plant": (70, 150, 50), "forest": (30, 105, 45), "grass": (140, 200, 70), "terrain": (165, 195, 95),
    "field": (190, 200, 90), "road": (130, 75, 140), "street": (130, 75, 140), "pavement": (235, 110, 215),
    "sidewalk": (235, 110, 215), "path": (205, 160, 130), "ground": (160, 115, 75), "earth": (150, 105, 65),
    "dirt": (150, 105, 65), "sand": (235, 210, 140), "building": (175, 95, 75), "house": (185, 105, 85),
    "wall": (190, 150, 130), "fence": (200, 150, 100), "bridge": (150, 120, 110), "pole": (235, 205, 120),
    "car": (25, 60, 200), "truck": (20, 110, 170), "bus": (0, 150, 150), "train": (0, 120, 120),
    "bicycle": (140, 20, 60), "motorcycle": (90, 20, 140), "person": (230, 30, 60), "pedestrian": (230, 30, 60),
    "rider": (255, 120, 40), "bicyclist": (255, 120, 40), "sign": (240, 220, 0), "light": (250, 170, 30),
    "water": (40, 110, 210), "sea": (20, 90, 190), "river": (50, 130, 220), "lake": (60, 140, 210),
    "snow": (225, 235, 250), "mountain": (140, 125, 115), "rock": (130, 120, 120), "floor": (200, 170, 130),
    "ceiling": (225, 215, 200), "window": (150, 215, 235), "door": (140, 85, 45), "bed": (200, 120, 160),
    "sofa": (150, 60, 130), "chair": (205, 95, 40), "table": (160, 110, 60), "furniture": (170, 120, 70),
    "book": (60, 80, 160), "picture": (220, 190, 60), "tv": (60, 60, 90), "skin": (240, 190, 160),
    "hair": (95, 60, 35), "vessel": (220, 30, 40), "lesion": (220, 60, 60), "tumor": (220, 60, 60),
}  # fmt: skip
"""Colour by a word of a class's name: its natural or its conventional colour."""
APART = {8: 0.10, 14: 0.08, 20: 0.06}
"""Least distance of two colours by number of classes, for the kind of vision that sees them nearest."""
FARTHER_COUNTS = 12.0


@lru_cache
def class_colours(names: tuple[str, ...], background: int | None = None) -> tuple[Colour, ...]:
    """One colour per class: near its natural colour if it has one, distant from all others; `background` is black."""
    natural = {index: colour for index, name in enumerate(names) if index != background and (colour := _natural(name))}
    if not natural:
        return distinct_colours(len(names), background)
    shades, points = candidates()
    apart = next((distance for count, distance in APART.items() if len(names) <= count), 0.04)
    nearest = distances(points, perceived(np.array([BLACK, GREY], float))).min(axis=1)
    chosen: dict[int, Colour] = {} if background is None else {background: BLACK}
    for index in [*natural, *(index for index in range(len(names)) if index not in natural and index != background)]:
        best = _best(points, nearest, natural.get(index), apart)
        red, green, blue = map(int, shades[best])
        chosen[index] = (red, green, blue)
        nearest = np.minimum(nearest, distances(points, points[:, best : best + 1])[:, 0])
    return tuple(chosen[index] for index in range(len(names)))


def _best(points: Points, nearest: Points, natural: Colour | None, apart: float) -> int:
    """The candidate nearest to the natural colour among those far enough from earlier colours, or else the farthest."""
    if natural is None:
        return int(nearest.argmax())
    unlike = np.linalg.norm(points[0] - perceived(np.array([natural], float))[0], axis=1)
    return int((unlike + FARTHER_COUNTS * np.clip(apart - nearest, 0, None)).argmin())


def _natural(name: str) -> Colour | None:
    """The colour of the last word of a name that has one, as in `traffic light` or `wall-brick`, also in plural."""
    words = re.findall(r"[a-z]+", name.lower())
    matches = [NATURAL[stem] for word in words for stem in (word, word.removesuffix("s")) if stem in NATURAL]
    return matches[-1] if matches else None
