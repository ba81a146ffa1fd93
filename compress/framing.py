"""How a photograph becomes the image that a network sees: one geometry for every reader.

The geometry is that of timm's evaluation transform, and Pillow's antialiased resize is the reference: a network that
was trained with timm or torchvision decides here as it does there. Needs Pillow; not torch, so that the runtime can
use it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from PIL import Image, ImageOps

Size = tuple[int, int]
"""Height and width, pixels."""
CropMode = Literal["center", "squash", "border"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"]
CROP_MODES: tuple[CropMode, ...] = get_args(CropMode)
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)
"""The EXIF tag of how a camera was held, and those of its values that swap height and width."""
RESIZED_LIMIT = 100_000_000
"""Pixels of a picture after its resize: a strip of 1x50,000 pixels may ask for gigabytes."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """What is done to one picture: resized as a whole, then a window of it kept."""

    resized: Size
    top: int
    """Of the window in the resized picture; negative where the window begins before it, as `left`."""
    left: int
    size: Size
    """Of the window."""


@dataclass(frozen=True, kw_only=True)
class Framing:
    """Crop and interpolation of a network's images; the size is an argument, since data and networks have one anyway.

    Raises `ValueError` for a mode or an interpolation by another name, and for a share outside of (0, 1].
    """

    crop_mode: CropMode = "center"
    """`center` scales the shorter side and keeps the middle, `squash` scales both sides for themselves, `border` scales
    the longer side and fills the rest with `fill`."""
    crop_pct: float = 1.0
    """The side that is kept, as a share of the side that is resized to."""
    interpolation: Interpolation = "bilinear"
    fill: tuple[int, int, int] = (0, 0, 0)
    """The colour of borders, RGB."""

    def __post_init__(self) -> None:
        if self.crop_mode not in CROP_MODES:
            raise ValueError(f"its crop mode is {self.crop_mode!r:.80}, not {', '.join(CROP_MODES)}")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"its interpolation is {self.interpolation!r:.80}, not {', '.join(INTERPOLATIONS)}")
        if not isinstance(self.crop_pct, (int, float)) or not 0 < self.crop_pct <= 1:
            raise ValueError(f"its crop_pct is {self.crop_pct!r:.80}, not above 0 and at most 1")
        shades = isinstance(self.fill, tuple) and len(self.fill) == 3
        if not shades or not all(isinstance(shade, int) and 0 <= shade <= 255 for shade in self.fill):
            raise ValueError(f"its fill is {self.fill!r:.80}, not three numbers from 0 to 255")

    def geometry(self, picture: Size, size: Size) -> Geometry:
        """How a picture of that height and width becomes an image of `size`."""
        resized = self._resized(picture, self.scale_to(size))
        return Geometry(resized=resized, top=_begin(resized[0], size[0]), left=_begin(resized[1], size[1]), size=size)

    def scale_to(self, size: Size) -> Size:
        """The height and width that stand for the whole picture, of which `size` is the share `crop_pct`."""
        return math.floor(size[0] / self.crop_pct), math.floor(size[1] / self.crop_pct)

    def _resized(self, picture: Size, scale: Size) -> Size:
        if self.crop_mode == "squash":
            return scale
        if self.crop_mode == "center" and scale[0] == scale[1]:  # torchvision's own rule, which rounds down
            shorter, longer = sorted(picture)
            long = scale[0] * longer // shorter
            return (scale[0], long) if picture[0] <= picture[1] else (long, scale[0])
        ratios = picture[0] / scale[0], picture[1] / scale[1]
        ratio = max(ratios) if self.crop_mode == "border" else min(ratios)
        return max(round(picture[0] / ratio), 1), max(round(picture[1] / ratio), 1)

    def image(self, picture: Image.Image, size: Size) -> Image.Image:
        """The image of `size` that a network sees of an RGB picture; `ValueError` if that would fill the memory."""
        steps = self.geometry((picture.height, picture.width), size)
        if math.prod(steps.resized) > RESIZED_LIMIT:
            raise ValueError(f"{picture.width}x{picture.height} pixels would be resized to {steps.resized[1]} in width")
        whole = resize(picture, steps.resized, self.interpolation)
        box = (steps.left, steps.top, steps.left + size[1], steps.top + size[0])
        if steps.resized[0] >= size[0] and steps.resized[1] >= size[1]:
            return whole.crop(box)
        image = Image.new("RGB", (size[1], size[0]), self.fill)
        image.paste(whole, (-steps.left, -steps.top))  # which leaves out what lies beyond the window
        return image


CENTRAL_SQUARE = Framing()
"""Of data and networks that say nothing else."""
WHOLE = Framing(crop_mode="squash")
"""All of the picture, at exactly a size: for label maps."""


def orientation(picture: Image.Image) -> int:
    """How the camera was held, 1 to 8 in EXIF's numbers; 1, upright, where the file does not say or says nonsense."""
    try:
        value = picture.getexif().get(ORIENTATION, 1)
    except Exception:  # broken EXIF data raise many types, and say nothing of the pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(picture: Image.Image) -> Image.Image:
    """The picture, decoded and turned as its EXIF orientation says; itself if it is upright."""
    picture.load()  # which turns a TIFF by itself
    if orientation(picture) == 1:
        return picture
    return ImageOps.exif_transpose(picture)


def upright_size(picture: Image.Image) -> Size:
    """Height and width of a picture, which need not be decoded, once it is upright."""
    turned = picture.format != "TIFF" and orientation(picture) in SIDEWAYS  # a TIFF says its upright size
    return (picture.width, picture.height) if turned else (picture.height, picture.width)


def resize(picture: Image.Image, size: Size, interpolation: Interpolation = "bilinear") -> Image.Image:
    """The whole picture at that height and width, antialiased."""
    return picture.resize((size[1], size[0]), Image.Resampling[interpolation.upper()])


def scaled(size: Sequence[int], shorter: int | None) -> Size:
    """Height and width (or width and height) in proportion, the shorter one `shorter`; as they are without it."""
    factor = (shorter or min(size)) / min(size)
    first, second = (max(round(side * factor), 1) for side in size)
    return first, second


def border_of(mean: Sequence[float]) -> tuple[int, int, int]:
    """The colour that a network's normalisation makes 0, of a mean in [0, 1] by channel."""
    red, green, blue = (min(max(round(255 * value), 0), 255) for value in mean)
    return red, green, blue


def _begin(resized: int, size: int) -> int:
    return -((size - resized) // 2) if size > resized else round((resized - size) / 2)
