"""The patches of a vision transformer: the attention layers that return a vector for each part of the image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

HEADS = ("num_heads", "num_attention_heads", "heads")
"""Attributes by which timm, Hugging Face and others store an attention layer's number of heads."""
FEWEST = 3
"""Patches that have similarities to compare: two patches have only one."""


@dataclass(frozen=True)
class PatchLayer:
    """An attention layer and the place of the patches in its output, `[n·windows, before + patches + after, c]`."""

    layer: nn.Module
    windows: int
    """The number of windows per image, if attention works within windows (Swin); else 1."""
    before: int
    """The number of tokens in front of the patches: class, distillation and register tokens."""
    patches: int
    """The number of patches in a window."""
    width: int
    """`c`: the length of a token."""

    def patches_of(self, answer: Any) -> Tensor:
        """The patches `[n·windows, patches, c]`, in float32, in what the layer returned."""
        return _tokens(self.layer, answer).narrow(1, self.before, self.patches).float()


def attention_layers(network: nn.Module) -> list[nn.Module]:
    """Every `nn.MultiheadAttention`, and every innermost module that stores its number of heads."""
    layers = [m for m in network.modules() if isinstance(m, nn.MultiheadAttention) or _heads(m)]
    return [layer for layer in layers if not any(inner is not layer and inner in layers for inner in layer.modules())]


@torch.no_grad()
def patch_layers(network: nn.Module, image_shape: tuple[int, int, int]) -> list[PatchLayer]:
    """The attention layers whose output has a token for each patch of a grid; the network runs on two random images.

    The output of such a layer, or the first part of it, is `[n·windows, tokens, c]`. Tokens that are the same for both
    images where they enter the first attention layer, such as class and register tokens, are not patches; all layers
    that work on the whole image have as many of them. The patches of these layers form a grid with about the aspect
    ratio of the image. There are at least three.

    Empty for networks without such layers: convolutional networks, and transformers of one patch, of maps
    `[n, h, w, c]` or of other sequences. The network's mode is left as it is: call this in evaluation mode.
    """
    inputs, answers = dict[nn.Module, Tensor](), dict[nn.Module, Tensor]()

    def record(layer: nn.Module, values: tuple[Any, ...], named: Mapping[str, Any], answer: Any) -> None:
        tokens = _tokens_or_none(layer, answer)
        if tokens is not None:
            inputs[layer] = _tokens(layer, next(v for v in (*values, *named.values()) if isinstance(v, Tensor)))
            answers[layer] = tokens

    layers = attention_layers(network)
    if not layers:
        return []
    handles = [layer.register_forward_hook(record, with_kwargs=True) for layer in layers]
    try:
        images = torch.rand(2, *image_shape, generator=torch.Generator().manual_seed(0))
        network(images.to(next(network.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    if not answers:
        return []
    before, after = _without_image(next(iter(inputs.values())))
    described = (_described(layer, tokens, before, after, image_shape) for layer, tokens in answers.items())
    return [layer for layer in described if layer is not None]


def _described(
    layer: nn.Module, tokens: Tensor, before: int, after: int, image_shape: tuple[int, int, int]
) -> PatchLayer | None:
    """The layer that returned these tokens of two images, or None if they are no patches."""
    rows, count, width = tokens.shape
    windows = rows // 2
    if windows > 1:
        return PatchLayer(layer, windows, 0, count, width) if count >= FEWEST else None
    patches = count - before - after
    if patches < FEWEST or not _is_grid(patches, *image_shape[1:]):
        return None
    return PatchLayer(layer, 1, before, patches, width)


def _heads(module: nn.Module) -> bool:
    return any(type(getattr(module, name, None)) is int for name in HEADS)


def _tokens(layer: nn.Module, answer: Any) -> Tensor:
    """Tokens `[n·windows, t, c]` in what enters or leaves a layer."""
    tokens: Tensor = answer if isinstance(answer, Tensor) else answer[0]
    first = not isinstance(layer, nn.MultiheadAttention) or layer.batch_first
    return tokens if first else tokens.transpose(0, 1)


def _tokens_or_none(layer: nn.Module, answer: Any) -> Tensor | None:
    """The tokens of two images in what a layer returned; None for anything else."""
    first = answer[0] if isinstance(answer, tuple | list) and answer else answer
    if not isinstance(first, Tensor) or first.ndim != 3:
        return None
    tokens = _tokens(layer, first)
    return tokens if len(tokens) % 2 == 0 and len(tokens) else None


def _without_image(tokens: Tensor) -> tuple[int, int]:
    """The number of tokens, first and last, that are the same for both images, of tokens `[2, t, c]`; else none."""
    if tokens.ndim != 3 or len(tokens) != 2:
        return 0, 0
    varying = (tokens[0] != tokens[1]).any(dim=1).nonzero().flatten().tolist()
    return (varying[0], tokens.shape[1] - 1 - varying[-1]) if varying else (0, 0)


def _is_grid(patches: int, height: int, width: int) -> bool:
    """Whether so many patches can cover an image of this size in rows of squares, the last ones of them cut off."""
    rows = max(round(math.sqrt(patches * height / width)), 1)
    return patches % rows == 0 and abs(patches / rows - rows * width / height) <= 1
