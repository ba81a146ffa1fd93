"""Pictures of samples: targets beside the models' predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor, to_pil_image
from torchvision.utils import make_grid

TILE_WIDTH = 96  # small images are enlarged to about this, so that a person can look at them and read their captions
LINE_HEIGHT = 12
MARGIN = 3  # pixels around each row of a grid
IGNORED = (128, 128, 128)
GAP = 2  # pixels between an image and its maps
FONT_SIZE = 16

Palette = Sequence[tuple[int, int, int]]


def painted(label_maps: Tensor, palette: Palette) -> Tensor:
    """Label maps `[n, h, w]` as uint8 RGB `[n, 3, h, w]`; values outside the palette (ignored) are grey."""
    table = torch.tensor([*palette, IGNORED], dtype=torch.uint8)
    indices = torch.where(label_maps < len(palette), label_maps, len(palette)).long()
    return table[indices].permute(0, 3, 1, 2)


def roles(answers: int) -> tuple[str, ...]:
    """Headings of the models whose predictions a picture shows: one model, or teacher and student."""
    return ("model",) if answers == 1 else ("teacher", "student")[:answers]


def rows_of_maps(
    images: Tensor, label_maps: Mapping[str, Tensor], names: Sequence[str], palette: Palette, first: str = "image"
) -> Tensor:
    """Each image with its label maps to the right of it, a grid of such rows: uint8 RGB `[3, H, W]`.

    Images `[n, 3, h, w]` and maps `[n, h, w]` are enlarged to about `TILE_WIDTH`. Over every column stands what it is,
    `first` or the maps' own headings, and below all the classes that occur, with their colours.
    """
    scale = max(-(-TILE_WIDTH // images.shape[3]), 1)
    tiles = {first: images} | {heading: painted(maps, palette) for heading, maps in label_maps.items()}
    large = [tile.repeat_interleave(scale, 2).repeat_interleave(scale, 3) for tile in tiles.values()]
    gap = torch.full((*large[0].shape[:3], GAP), 255, dtype=torch.uint8)
    rows = torch.cat([part for tile in large for part in (gap, tile)], dim=3)
    grid = _grid(rows, columns=3)
    step, columns = rows.shape[3] + MARGIN, min(3, len(rows))
    places = [
        (MARGIN + column * step + GAP + at * (large[0].shape[3] + GAP), heading)
        for column in range(columns)
        for at, heading in enumerate(tiles)
    ]
    present = sorted(set(torch.cat([maps.flatten() for maps in label_maps.values()]).tolist()))
    shown = [(names[index], palette[index]) for index in present if index < len(names)]
    if present[-1] >= len(names):
        shown.append(("ignored", IGNORED))
    return torch.cat([_headings(places, grid.shape[2]), grid, _legend(shown, grid.shape[2])], dim=1)


def _headings(places: Sequence[tuple[int, str]], width: int) -> Tensor:
    """A strip of words, each starting at its position in pixels: uint8 RGB `[3, LINE_HEIGHT + 2, width]`."""
    strip = Image.new("RGB", (width, LINE_HEIGHT + 2), "white")
    for left, heading in places:
        ImageDraw.Draw(strip).text((left, 1), heading, fill="black")
    pixels: Tensor = pil_to_tensor(strip)
    return pixels


def _legend(classes: Sequence[tuple[str, tuple[int, int, int]]], width: int) -> Tensor:
    """Colours and names in as many lines as the width needs: uint8 RGB `[3, h, width]`."""
    font, swatch = ImageFont.load_default(FONT_SIZE * 3 // 4), LINE_HEIGHT
    places, left, line = [], MARGIN, 0
    for name, colour in classes:
        needed = int(font.getlength(name)) + swatch + 6 * MARGIN
        if left + needed > width and left > MARGIN:
            left, line = MARGIN, line + 1
        places.append((left, 2 + line * (swatch + MARGIN), name, colour))
        left += needed
    strip = Image.new("RGB", (width, (line + 1) * (swatch + MARGIN) + 2), "white")
    draw = ImageDraw.Draw(strip)
    for left, top, name, colour in places:
        draw.rectangle((left, top, left + swatch, top + swatch), fill=colour, outline="black")
        draw.text((left + swatch + MARGIN, top - 1), name, fill="black", font=font)
    pixels: Tensor = pil_to_tensor(strip)
    return pixels


def captioned(images: Tensor, captions: Sequence[tuple[str, ...]], key: str) -> Tensor:
    """A grid of images with lines of text under each, cut to its width: uint8 RGB `[3, H, W]`.

    `key` stands above all and says what the lines are.
    """
    scale = max(TILE_WIDTH // images.shape[3], 1)
    tiles = []
    for image, lines in zip(images.repeat_interleave(scale, 2).repeat_interleave(scale, 3), captions, strict=True):
        height, width = image.shape[1:]
        tile = Image.new("RGB", (width, height + len(lines) * LINE_HEIGHT + 2), "white")
        tile.paste(to_pil_image(image))
        for row, line in enumerate(lines):
            ImageDraw.Draw(tile).text((2, height + row * LINE_HEIGHT), line, fill="black")
        tiles.append(pil_to_tensor(tile))
    grid = _grid(torch.stack(tiles), columns=8)
    return torch.cat([_headings([(MARGIN, key)], grid.shape[2]), grid], dim=1)


def _grid(tiles: Tensor, columns: int) -> Tensor:
    grid: Tensor = make_grid(tiles, nrow=min(columns, len(tiles)), padding=MARGIN, pad_value=255)
    return grid
