"""Untrusted image files: decoded within limits, or refused with the name of the file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import RLock
from typing import TypeVar

from PIL import Image, _imaging

from compress.errors import UsageError, first_line
from compress.framing import upright
from compress.storage.untrusted import members, require_regular

SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
KINDS = "png, jpg, webp, bmp, tiff or gif"
PIXEL_LIMIT = 50_000_000
"""Of one image: beyond, a file of a few kilobytes may fill the memory."""
LARGE = 8_000_000
"""Pixels beyond which images are decoded one at a time."""
MEMORY_LIMIT = 8_000_000_000
"""Bytes of one split, which is held in memory; the 50,000 validation images of ImageNet fit at 224 pixels."""
BLOCK = 1 << 26
"""Bytes that Pillow asks for at once: the system takes such blocks back, and keeps smaller ones for each thread."""
DEEP_MODES = {"I", "F", "I;16", "I;16B", "I;16L"}


_imaging.set_block_size(BLOCK)

Item = TypeVar("Item")
Read = TypeVar("Read")


def image_files(folder: Path) -> list[Path]:
    """The image files of one folder, sorted by name, without hidden ones; `image_discovery` searches folders below.

    Raises `UsageError` if one of them is a link out of the folder.
    """
    return members(folder, lambda path: path.suffix.lower() in SUFFIXES)


_ONE_AT_A_TIME = RLock()  # the same thread may hold an image and its label map


@contextmanager
def opened(file: Path, *, deep: bool = False) -> Iterator[Image.Image]:
    """The image in a file, not yet decoded; the first one of an animation.

    Raises `UsageError` with the file's name if its content is of none of `FORMATS`, has more than 8 bits a channel
    (unless `deep`) or more than 50 million pixels, or cannot be decoded while the context is entered.
    """
    try:
        require_regular(file)
        with Image.open(file, formats=FORMATS) as image:
            if image.mode in DEEP_MODES and not deep:
                raise ValueError("more than 8 bits a channel")
            pixels = image.width * image.height
            if pixels > PIXEL_LIMIT:
                raise ValueError(f"{image.width}x{image.height} pixels are too many")
            with _ONE_AT_A_TIME if pixels > LARGE else nullcontext():
                yield image
    except UsageError:
        raise
    except Exception as error:  # broken images raise a dozen unrelated exception types
        reason = first_line(error, 120)
        raise UsageError(f"cannot read the image {file}: {reason}; fix or remove it") from error


def as_rgb(image: Image.Image, *, turned: bool = True) -> Image.Image:
    """The image in three colours, without its transparency; itself, decoded, if it is that already.

    It is turned upright as its EXIF orientation says, unless told otherwise.
    """
    if turned:
        image = upright(image)
    image.load()
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


@contextmanager
def bombs_refused() -> Iterator[None]:
    """While entered, Pillow's warning about decompression bombs is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_all(read: Callable[[Item], Read], items: Sequence[Item]) -> Iterator[Read]:
    """`read` of every item in order, several at a time."""
    with bombs_refused(), ThreadPoolExecutor() as pool:
        yield from pool.map(read, items)


def require_memory(folder: Path, needed: int) -> None:
    """Raise `UsageError` if a split of `needed` bytes is above the memory limit."""
    if needed > MEMORY_LIMIT:
        raise UsageError(
            f"{folder} needs {needed / 1e9:.0f} GB of memory, and {MEMORY_LIMIT / 1e9:.0f} GB are allowed: "
            "choose a smaller `image_size` or fewer images"
        )
