"""The model as the engine sees it: images in [0, 1] in, logits `[n, k, *s]` of one shape out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from compress.task import IMAGENET_MEAN, IMAGENET_STD

from .two_part import TwoPartClassifier


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
        logits: Tensor = self.network(self.normalised(images))
        return logits

    def normalised(self, images: Tensor) -> Tensor:
        """What the network itself is shown of images `[n, 3, h, w]` in [0, 1]: `compress.task.Normalised`."""
        return (images - self.mean) / self.std

    def features(self, images: Tensor) -> Tensor:
        """The last feature map `[n, c, h, w]` of a classifier; `classify` goes on from there."""
        assert isinstance(self.network, TwoPartClassifier)
        return self.network.forward_features(self.normalised(images))

    def classify(self, features: Tensor) -> Tensor:
        """Logits `[n, k]` of a last feature map."""
        assert isinstance(self.network, TwoPartClassifier)
        return self.network.forward_head(features)
