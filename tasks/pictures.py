"""Pictures of samples: what was asked for beside what the model sees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor, to_pil_image
from torchvision.utils import make_grid

TILE_WIDTH = 96  # small images are enlarged to about this, so that a person can look at them and read their captions
LINE_HEIGHT = 12
GAP = 2  # pixels between an image and its maps
FONT_SIZE = 16
OPACITY = 0.55  # of the colours over a photograph
SMALLEST_SHARE = 0.001  # of an image that the legend of its overlay names

Palette = Sequence[tuple[int, int, int]]


def painted(label_maps: Tensor, palette: Palette) -> Tensor:
    """Label maps `[n, h, w]` as uint8 RGB `[n, 3, h, w]`; values outside the palette (ignored) are grey."""
    table = torch.tensor([*palette, (128, 128, 128)], dtype=torch.uint8)
    known = torch.where(label_maps < len(palette), label_maps, len(palette)).long()
    return table[known].permute(0, 3, 1, 2)


def rows_of_maps(images: Tensor, label_maps: Sequence[Tensor], palette: Palette) -> Tensor:
    """Each image with its label maps to the right of it, a grid of such rows: uint8 RGB `[3, H, W]`."""
    tiles = [images, *(painted(maps, palette) for maps in label_maps)]
    gap = torch.full((*images.shape[:3], GAP), 255, dtype=torch.uint8)
    rows = torch.cat([part for tile in tiles for part in (gap, tile)], dim=3)
    return _grid(rows, columns=3)


def overlay(image: Image.Image, classes: Tensor, names: Sequence[str], palette: Palette) -> Image.Image:
    """A photograph under the colours of its class map `[h, w]`, with a legend of the classes that cover most of it."""
    colours = to_pil_image(painted(classes[None], palette)[0])
    shares = torch.bincount(classes.flatten().long(), minlength=len(names))[: len(names)] / classes.numel()
    shown = [index for index in shares.argsort(descending=True, stable=True).tolist() if shares[index] > SMALLEST_SHARE]
    text = [f"{names[index]}  {shares[index]:.0%}" for index in shown]
    font = ImageFont.load_default(FONT_SIZE)
    swatch, margin = FONT_SIZE, FONT_SIZE // 2
    width = int(max(font.getlength(line) for line in text)) + swatch + 3 * margin
    height = max(image.height, len(text) * (swatch + margin) + margin)
    picture = Image.new("RGB", (image.width + width, height), "white")
    picture.paste(Image.blend(image, colours, OPACITY))
    draw = ImageDraw.Draw(picture)
    for row, (index, line) in enumerate(zip(shown, text, strict=True)):
        left, top = image.width + margin, margin + row * (swatch + margin)
        draw.rectangle((left, top, left + swatch, top + swatch), fill=palette[index], outline="black")
        draw.text((left + swatch + margin, top), line, fill="black", font=font)
    return picture


def captioned(images: Tensor, captions: Sequence[tuple[str, ...]]) -> Tensor:
    """A grid of images with lines of text under each, cut to its width: uint8 RGB `[3, H, W]`."""
    scale = max(TILE_WIDTH // images.shape[3], 1)
    tiles = []
    for image, lines in zip(images.repeat_interleave(scale, 2).repeat_interleave(scale, 3), captions, strict=True):
        height, width = image.shape[1:]
        tile = Image.new("RGB", (width, height + len(lines) * LINE_HEIGHT + 2), "white")
        tile.paste(to_pil_image(image))
        for row, line in enumerate(lines):
            ImageDraw.Draw(tile).text((2, height + row * LINE_HEIGHT), line, fill="black")
        tiles.append(pil_to_tensor(tile))
    return _grid(torch.stack(tiles), columns=8)


def _grid(tiles: Tensor, columns: int) -> Tensor:
    grid: Tensor = make_grid(tiles, nrow=min(columns, len(tiles)), padding=3, pad_value=255)
    return grid
