"""A photograph overlaid with the colours of its classes; lines and letters scale with its size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from .palette import BLACK, Colour

Map = NDArray[np.uint8]
Shades = NDArray[np.float32]

OPACITY = 0.5
"""Opacity of a class's colour over the photograph."""
KEPT_LIGHT = 0.7
"""Share of the brightness lost under a dark colour that is restored."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
SIDES_PER_LINE, SIDES_PER_LETTER = 400, 26
"""The shorter side, measured in widths of lines and in heights of letters."""
SMALLEST_LETTER = 14
SMALLEST_SHARE = 0.001
"""Least share of the photograph for a class in the legend."""
STRIP = 256
"""Rows that are painted at once; each pixel takes about sixty bytes during that."""


def overlay(
    photograph: Image.Image, classes: Map, names: Sequence[str], palette: Sequence[Colour], *, legend: bool = True
) -> Image.Image:
    """A photograph overlaid with the colours of its class map `[h, w]`, with a legend of the classes and their shares.

    A black class, such as a background, is left as it is. Classes are outlined; values that are no class stay bare.
    """
    line = max(round(min(photograph.size) / SIDES_PER_LINE), 1)
    edges = np.asarray(_edges(classes, line))
    colours = np.array([*palette, BLACK], np.float32)
    bare = np.array([colour == BLACK for colour in [*palette, BLACK]])
    pixels, index = np.asarray(photograph.convert("RGB")), np.minimum(classes, len(palette))
    strips = [slice(top, top + STRIP) for top in range(0, len(pixels), STRIP)]
    painted = [_painted(pixels[rows], index[rows], edges[rows], colours, bare) for rows in strips]
    picture = Image.fromarray(np.concatenate(painted))
    return _with_legend(picture, shares(classes, names), palette) if legend else picture


def shares(classes: Map, names: Sequence[str]) -> dict[int, tuple[str, float]]:
    """Name and share of the classes in a map that cover more than a thousandth of it, the largest first."""
    counts = np.bincount(classes.ravel(), minlength=256)[: len(names)] / classes.size
    order = np.argsort(-counts, kind="stable").tolist()
    return {index: (names[index], float(counts[index])) for index in order if counts[index] > SMALLEST_SHARE}


def _painted(pixels: Map, index: Map, edges: NDArray[np.bool_], colours: Shades, bare: NDArray[np.bool_]) -> Map:
    """Some rows of the photograph overlaid with their colours, opaque at edges."""
    photograph, over = pixels.astype(np.float32), colours[index]
    mixed = (1 - OPACITY) * photograph + OPACITY * over
    lost = np.clip((photograph - mixed) @ LUMA, 0, None)[..., None]
    mixed += np.minimum(KEPT_LIGHT * lost, 255 - mixed.max(axis=-1, keepdims=True))  # a clipped colour is another one
    mixed = np.where(bare[index][..., None], photograph, mixed)
    lines = np.where(bare[index][..., None], photograph, over)
    return np.clip(np.where(edges[..., None], lines, mixed), 0, 255).round().astype(np.uint8)


def _edges(classes: Map, line: int) -> Image.Image:
    """The edges between classes, as lines of so many pixels on either side."""
    different = np.zeros(classes.shape, bool)
    different[:, 1:] |= classes[:, 1:] != classes[:, :-1]
    different[1:] |= classes[1:] != classes[:-1]
    edges = Image.fromarray(different.astype(np.uint8) * 255)
    if line > 1:
        edges = edges.filter(ImageFilter.MaxFilter(line | 1))
    return edges.convert("1")


def _with_legend(picture: Image.Image, shown: dict[int, tuple[str, float]], palette: Sequence[Colour]) -> Image.Image:
    letter = max(round(min(picture.size) / SIDES_PER_LETTER), SMALLEST_LETTER)
    font, margin = ImageFont.load_default(letter), letter // 2
    lines = [
        (palette[index], name, f"{share:.0%}" if share >= 0.01 else "<1%") for index, (name, share) in shown.items()
    ]
    left = max((int(font.getlength(name)) for _, name, _ in lines), default=0)
    right = max((int(font.getlength(share)) for _, _, share in lines), default=0)
    width = letter + left + right + 5 * margin
    height = max(picture.height, len(lines) * (letter + margin) + margin)
    whole = Image.new("RGB", (picture.width + width, height), "white")
    whole.paste(picture)
    draw = ImageDraw.Draw(whole)
    for row, (colour, name, share) in enumerate(lines):
        start, top = picture.width + margin, margin + row * (letter + margin)
        draw.rectangle(
            (start, top, start + letter, top + letter), fill=colour, outline="black", width=max(letter // 16, 1)
        )
        draw.text((start + letter + margin, top), name, fill="black", font=font)
        draw.text((whole.width - margin - int(font.getlength(share)), top), share, fill="dimgray", font=font)
    return whole


def smooth(scores: Iterable[Shades], size: tuple[int, int]) -> tuple[Map, Shades]:
    """Class and score of every pixel of a larger picture, by bilinear interpolation of scores `[h, w]` by class.

    `size` is width and height; one class after the other is enlarged, so that memory is that of three pictures.
    """
    best = np.full(size[::-1], -np.inf, np.float32)
    classes = np.zeros(size[::-1], np.uint8)
    for index, score in enumerate(scores):
        enlarged = np.asarray(Image.fromarray(score.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
        better = enlarged > best
        classes[better] = index
        np.copyto(best, enlarged, where=better)
    return classes, best
