"""The resize and crop of `compress.framing` in torch, for comparing files that take pixels with networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .card import FileCard
from .onnx_framing import HALF


def shown(images: Tensor, card: FileCard) -> Tensor:
    """The network's input inside a file that takes pixels, for images `[n, 3, h, w]` in [0, 1]: see `.onnx_framing`."""
    own = images.shape[-2], images.shape[-1]
    framing, size = card.framed(own)
    if card.task == "segmentation" and size == own:
        return images
    steps, pixels = framing.geometry(own, size), images * 255
    for sizes in ((own[0], steps.resized[1]), steps.resized):
        pixels = F.interpolate(pixels, size=sizes, mode=framing.interpolation, antialias=True)
        pixels = pixels.add(HALF).floor().clamp(0, 255)
    top, left, (height, width) = max(steps.top, 0), max(steps.left, 0), size
    kept = pixels[..., top : top + height, left : left + width]
    whole = torch.tensor(framing.fill).to(images).view(1, 3, 1, 1).expand(len(images), 3, height, width).clone()
    top, left = max(-steps.top, 0), max(-steps.left, 0)
    whole[..., top : top + kept.shape[-2], left : left + kept.shape[-1]] = kept
    return whole / 255
