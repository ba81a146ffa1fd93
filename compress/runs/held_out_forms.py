"""Labelled images of the user's own, in any form that training scripts have them in, as two tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import pil_to_tensor

from compress.errors import UsageError

HeldOut = Sequence[Any] | Dataset[Any] | DataLoader[Any]
"""A pair of images and labels (tensors or numpy arrays), a data set of pairs, or a loader of batches of them."""


WIDE = (torch.uint16, torch.uint32, torch.uint64)
"""Types that torch stores and cannot compare."""


def as_tensors(held_out: HeldOut) -> tuple[Tensor, Tensor]:
    """Images `[n, 3, h, w]` and labels `[n, *s]` of what a user has.

    A pair of tensors stays as it is; arrays `[n, h, w, 3]` become `[n, 3, h, w]`. Of a data set and a loader, float
    images in [0, 1], as `ToTensor` makes them, and Pillow's become uint8. Raises `UsageError` for anything else.
    """
    if isinstance(held_out, DataLoader):
        return _joined((_image(images), _numbers(labels)) for images, labels in _pairs(held_out))
    if isinstance(held_out, (tuple, list)) and len(held_out) == 2 and isinstance(held_out[0], (Tensor, np.ndarray)):
        images, labels = map(_numbers, held_out)
        return _channels_first(images), labels
    return _joined((_image(image)[None], _numbers(label)[None]) for image, label in _pairs(_items(held_out)))


def _numbers(part: Any) -> Tensor:
    """A tensor of what is one or can be read as one: arrays in any order of bytes and of axes in memory, numbers."""
    tensor = part if isinstance(part, Tensor) else _tensor(part)
    return tensor.long() if tensor.dtype in WIDE else tensor


def _tensor(part: Any) -> Tensor:
    kind = type(part).__name__
    try:
        array = np.asarray(part)
    except ValueError as error:  # lists of several lengths
        raise UsageError(f"held_out holds a {kind} of several shapes: give arrays") from error
    if array.dtype.kind not in "biuf":
        raise UsageError(f"held_out holds a {kind} of {array.dtype}: give tensors or arrays of numbers")
    return torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))


def _items(held_out: Any) -> Iterable[Any]:
    """The items of a data set, by index where it has a length: many of them do not stop by themselves."""
    if hasattr(held_out, "__len__") and hasattr(held_out, "__getitem__") and not isinstance(held_out, Mapping):
        return (held_out[index] for index in range(len(held_out)))
    if isinstance(held_out, Iterable) and not isinstance(held_out, Mapping):
        return held_out
    raise UsageError(
        f"held_out is a {type(held_out).__name__}: give a pair of images and labels, a Dataset or a DataLoader of pairs"
    )


def _pairs(items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for item in items:
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise UsageError(f"held_out gives a {type(item).__name__}: pairs of image and label are needed")
        yield item[0], item[1]


def _image(image: Any) -> Tensor:
    """Pixels uint8 of an image or a batch of them."""
    if isinstance(image, Image.Image):
        pixels: Tensor = pil_to_tensor(image.convert("RGB"))
        return pixels
    if not isinstance(image, Tensor):
        image = _numbers(image)
        image = image.movedim(-1, -3) if image.ndim >= 3 and image.shape[-1] == 3 != image.shape[-3] else image
    if not image.is_floating_point():
        return _in_bytes(image)
    if image.numel() and not (image.amin() >= 0 and image.amax() <= 1):  # NaN is neither
        raise UsageError(
            f"held_out images have values from {image.amin():.3g} to {image.amax():.3g}: give them in [0, 1], without "
            "Normalize; `mean` and `std` normalise them"
        )
    shades: Tensor = image.mul(255).round().to(torch.uint8)
    return shades


def _in_bytes(image: Tensor) -> Tensor:
    if image.numel() and (image.amin() < 0 or image.amax() > 255):
        raise UsageError(f"held_out images hold {int(image.amax())}: whole numbers are shades from 0 to 255")
    return image.to(torch.uint8)


def _channels_first(images: Tensor) -> Tensor:
    if images.ndim == 4 and images.shape[-1] == 3 and images.shape[1] != 3:
        return images.movedim(-1, 1).contiguous()
    return images


def _joined(parts: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    images, labels = [], []
    for image, label in parts:
        images.append(image)
        labels.append(label)
    if not images:
        raise UsageError("held_out holds no image: give at least one, or leave it out")
    try:
        return torch.cat(images), torch.cat(labels)
    except RuntimeError as error:
        sizes = sorted({"x".join(map(str, image.shape[1:])) for image in images})
        raise UsageError(f"held_out images differ in size ({', '.join(sizes[:3])}): resize them to one") from error
