"""Tiny networks that several tests share."""

from __future__ import annotations

import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

CLASSES, CHANNELS = 4, 8


class Halves(nn.Module):
    """A classifier whose last feature map can be had."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first = [nn.Conv2d(3, width, 3, padding=1, stride=2), nn.BatchNorm2d(width), nn.ReLU()]
        self.trunk = nn.Sequential(*first, nn.Conv2d(width, CHANNELS, 1), nn.BatchNorm2d(CHANNELS), nn.ReLU())
        self.linear = nn.Linear(CHANNELS, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        """The last map."""
        return self.trunk(images)

    def classify(self, features: Tensor) -> Tensor:
        """Logits from there."""
        return self.linear(features.mean(dim=(2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[n, 4]`."""
        return self.classify(self.features(images))


def without_normalisation(module: nn.Module) -> None:
    """Take out its batch normalisation."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.Identity())
        without_normalisation(child)


def tiny_vit(*, distilled: bool = False, patch: int = 4) -> nn.Module:
    """A frozen vision transformer for images of 16 pixels, the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        kind = VisionTransformerDistilled if distilled else VisionTransformer
        network = kind(img_size=16, patch_size=patch, embed_dim=8, depth=2, num_heads=2, num_classes=CLASSES)
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1 and "embed" not in name:
                nn.init.normal_(parameter, std=2.0 if "qkv" in name else 0.5)  # attention that chooses
    return network.eval().requires_grad_(requires_grad=False)
