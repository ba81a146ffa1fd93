"""The model as the engine sees it: images in [0, 1] in, logits `[n, k, *s]` of one shape out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class NormalisedModel(nn.Module):
    """A network with normalisation as its first layer, so that nothing else ever sees a mean or a deviation."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[n, k, *s]` of images `[n, 3, h, w]` in [0, 1]."""
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits

    def features(self, images: Tensor) -> Tensor:
        """The last feature map `[n, c, h, w]` of a classifier; `classify` goes on from there."""
        features: Tensor = self.network.forward_features((images - self.mean) / self.std)  # type: ignore[operator]
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Logits `[n, k]` of a last feature map."""
        logits: Tensor = self.network.forward_head(features)  # type: ignore[operator]
        return logits
