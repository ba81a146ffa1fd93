"""Pictures as data URIs, so that the page is one file."""

from __future__ import annotations

import io
from base64 import b64encode
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from compress.errors import UsageError, first_line

PIXELS = 50_000_000
"""Of a picture."""
WIDEST = 1600
"""Pixels; wider pictures are reduced."""
LARGEST = 400_000
"""Largest PNG in bytes; larger pictures are photographs or noise and are embedded as JPEG."""
TILE = 96
"""Pixels of the longer side of single images, which the page shows at this size: smaller ones are enlarged by it."""
ACCENT = (0, 114, 178)


def own_picture(folder: Path, path: Path) -> Path:
    """The path, if it leads to a PNG file of the run and nowhere else; raises `UsageError` if not."""
    inside = not path.is_symlink() and path.resolve().is_relative_to(folder.resolve())
    if not inside or not path.is_file():
        raise UsageError(f"{path} is no picture of the run {folder}: put it back, or run it anew with `overwrite`")
    try:
        with Image.open(path, formats=("PNG",)) as opened:
            if opened.width * opened.height > PIXELS:
                raise ValueError(f"{opened.width}x{opened.height} pixels are too many")
            opened.load()
    except Exception as error:  # a broken image raises a dozen unrelated types
        raise UsageError(f"{path} is broken: {first_line(error, 80)}; run it anew with `overwrite`") from error
    return path


def picture_uri(path: Path) -> str:
    """A picture of the run, of `own_picture`."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if picture.width <= WIDEST and path.stat().st_size <= LARGEST:
        return _uri("png", path.read_bytes())
    picture.thumbnail((WIDEST, 4 * WIDEST))
    return _encoded(picture, "jpeg")


def sample_uri(image: Tensor) -> str:
    """A uint8 sample `[3, h, w]` as a tile."""
    return _tile(to_pil_image(image))


def tile_uri(path: Path) -> str:
    """A single image of the run as a tile, of `own_picture`."""
    with Image.open(path) as opened:
        return _tile(opened.convert("RGB"))


def _tile(picture: Image.Image) -> str:
    """As it is, or reduced to `TILE`."""
    picture.thumbnail((TILE, TILE))
    return _encoded(picture, "png")


def shares_uri(shares: Tensor) -> str:
    """Shares `[k, k]` in [0, 1] as opacity, one pixel each, which works on any background."""
    opacity = shares.mul(255).round().to(torch.uint8)
    colour = torch.tensor(ACCENT, dtype=torch.uint8).view(3, 1, 1).expand(3, *shares.shape)
    return _encoded(to_pil_image(torch.cat([colour, opacity[None]])), "png")


def _encoded(picture: Image.Image, kind: str) -> str:
    written = io.BytesIO()
    picture.save(written, kind, **({"quality": 88} if kind == "jpeg" else {"optimize": True}))
    return _uri(kind, written.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{b64encode(data).decode()}"
