"""Pictures of samples: what was asked for beside what the model sees."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.utils import make_grid

TILE_WIDTH = 96  # small images are enlarged to about this, so that a person can look at them and read their captions
LINE_HEIGHT = 12


def colours(num_classes: int, background: int | None) -> tuple[tuple[int, int, int], ...]:
    """One RGB colour a class: hues evenly around the circle in three lightnesses, black for the background."""
    palette = []
    for index in range(num_classes):
        lightness = (0.55, 0.75, 0.4)[index % 3]
        red, green, blue = colorsys.hls_to_rgb(index / num_classes, lightness, 0.85)
        palette.append((round(255 * red), round(255 * green), round(255 * blue)))
    if background is not None:
        palette[background] = (0, 0, 0)
    return tuple(palette)


def painted(label_maps: Tensor, palette: Sequence[tuple[int, int, int]]) -> Tensor:
    """Label maps `[n, h, w]` as uint8 RGB `[n, 3, h, w]`; values outside the palette (ignored) are grey."""
    table = torch.tensor([*palette, (128, 128, 128)], dtype=torch.uint8)
    known = torch.where(label_maps < len(palette), label_maps, len(palette)).long()
    return table[known].permute(0, 3, 1, 2)


def triptychs(images: Tensor, targets: Tensor, predictions: Tensor, palette: Sequence[tuple[int, int, int]]) -> Tensor:
    """Image, target map and predicted map side by side, a grid of such triples: uint8 RGB `[3, H, W]`."""
    triples = torch.cat([images, painted(targets, palette), painted(predictions, palette)], dim=3)
    return _grid(triples, columns=3)


def captioned(images: Tensor, captions: Sequence[tuple[str, str]]) -> Tensor:
    """A grid of images with two lines of text under each, cut to its width: uint8 RGB `[3, H, W]`."""
    scale = max(TILE_WIDTH // images.shape[3], 1)
    tiles = []
    for image, lines in zip(images.repeat_interleave(scale, 2).repeat_interleave(scale, 3), captions, strict=True):
        height, width = image.shape[1:]
        tile = Image.new("RGB", (width, height + 2 * LINE_HEIGHT + 2), "white")
        tile.paste(Image.fromarray(image.permute(1, 2, 0).numpy()))
        for row, line in enumerate(lines):
            ImageDraw.Draw(tile).text((2, height + row * LINE_HEIGHT), line, fill="black")
        tiles.append(torch.from_numpy(np.array(tile)).permute(2, 0, 1))
    return _grid(torch.stack(tiles), columns=8)


def _grid(tiles: Tensor, columns: int) -> Tensor:
    grid: Tensor = make_grid(tiles, nrow=min(columns, len(tiles)), padding=3, pad_value=255)
    return grid
