"""Label maps as polygons in COCO's format, for labelling tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from .detailed_scores import BACKGROUND

SMALLEST = 1e-4
"""Least share of a photograph for a region; smaller ones are specks."""
TOLERANCE = 0.6
"""Largest distance in pixels of a simplified polygon from the region's edge."""

Points = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Region:
    """Connected pixels of one class."""

    index: int
    """Index of the class."""
    points: Points
    """`[n, 2]`: x and y of its outline, in pixels from the upper left corner of the photograph."""
    area: int
    """Area in pixels, without its holes."""


def regions(classes: NDArray[np.uint8], names: Sequence[str]) -> list[Region]:
    """The regions of a class map `[h, w]`, the largest first: painting them in this order reproduces the map.

    Holes belong to the outline, since COCO's polygons have none; what lies in them is painted later. A class that is
    called background, and regions of less than 0.01 % of the map, are left out.
    """
    outlined = [
        region
        for index in np.unique(classes).tolist()
        if index < len(names) and names[index].lower() not in BACKGROUND
        for region in _of_class(classes == index, index, SMALLEST * classes.size)
    ]
    return sorted(outlined, key=lambda region: -_enclosed(region.points))


def _of_class(mask: NDArray[np.bool_], index: int, least: float) -> Iterator[Region]:
    parts, _ = label(mask)
    for number, place in enumerate(find_objects(parts), 1):
        part = parts[place] == number
        area = int(part.sum())
        if area >= max(least, 2):
            corner = place[1].start, place[0].start
            yield Region(index=index, points=_outline(part) + corner, area=area)


def _outline(part: NDArray[np.bool_]) -> Points:
    """The outer edge of connected pixels, from the corner of the first: half way between their centres and others'."""
    from contourpy import FillType, contour_generator
    from matplotlib.path import Path

    padded = np.pad(part, 1).astype(np.float64)
    filled: Any = contour_generator(z=padded, fill_type=FillType.OuterOffset).filled(0.5, 2)
    outer = max((points[: offsets[1]] for points, offsets in zip(*filled, strict=True)), key=_enclosed)
    path = Path(outer)
    path.should_simplify, path.simplify_threshold = True, TOLERANCE
    simple: Points = np.asarray(path.cleaned(simplify=True).vertices)[:-1]  # the last one is the end mark
    points = simple if len(simple) > 3 else outer
    return points[:-1] - 0.5  # closed by itself; less the padding, more the half pixel to a centre


def _enclosed(points: Points) -> float:
    """The area of a polygon."""
    x, y = points.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


class CocoFile:
    """The content of COCO's instance annotations, collected over photographs."""

    def __init__(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._names: Sequence[str] = ()

    @property
    def filled(self) -> bool:
        """Whether there is a photograph in it."""
        return bool(self._images)

    def add(self, file: str, classes: NDArray[np.uint8], names: Sequence[str]) -> None:
        """Add a photograph by the name of its file, with its class map `[h, w]`."""
        self._names = names
        image = len(self._images) + 1
        height, width = classes.shape
        self._images.append({"id": image, "file_name": file, "width": width, "height": height})
        for region in regions(classes, names):
            left, top = region.points.min(axis=0)
            right, bottom = region.points.max(axis=0)
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": image,
                    "category_id": region.index + 1,
                    "segmentation": [np.round(region.points, 2).ravel().tolist()],
                    "area": region.area,
                    "bbox": [round(float(value), 2) for value in (left, top, right - left, bottom - top)],
                    "iscrowd": 0,
                }
            )

    def content(self) -> dict[str, Any]:
        """The whole file; categories are numbered from 1, in the order of the classes."""
        categories = [{"id": index + 1, "name": name} for index, name in enumerate(self._names)]
        return {"images": self._images, "annotations": self._annotations, "categories": categories}
