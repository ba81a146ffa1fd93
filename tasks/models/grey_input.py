"""Networks of one input channel on RGB images: grey is the luma of ITU-R BT.601, as Pillow and OpenCV compute it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .normalised import NormalisedModel
from .two_part import TwoPartClassifier

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue. Their sum is 1, so grey can be computed before or after normalisation."""


class GreyInput(nn.Module):
    """A network of grey images, wrapped to take RGB images; it has no weights of its own.

    Mean and deviation must be the same for the three channels.
    """

    luma: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """The network's logits for the grey versions of images `[n, 3, h, w]`."""
        logits: Tensor = self.network(self.grey(images))
        return logits

    def grey(self, images: Tensor) -> Tensor:
        """RGB images `[n, 3, h, w]` as grey images `[n, 1, h, w]`."""
        return (images * self.luma).sum(dim=1, keepdim=True)


class GreyClassifier(GreyInput):
    """A classifier whose last feature map can be computed separately."""

    def forward_features(self, images: Tensor) -> Tensor:
        """The last feature map `[n, c, h, w]`."""
        assert isinstance(self.network, TwoPartClassifier)
        return self.network.forward_features(self.grey(images))

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits `[n, k]` of the last feature map."""
        assert isinstance(self.network, TwoPartClassifier)
        return self.network.forward_head(features)


def of_grey_images(model: NormalisedModel) -> NormalisedModel:
    """Wrap a model whose network takes grey images as a model of RGB images."""
    wrap = GreyClassifier if isinstance(model.network, TwoPartClassifier) else GreyInput
    grey = NormalisedModel(wrap(model.network))
    luma = model.mean.new_tensor(LUMA).view(1, 3, 1, 1)
    grey.mean, grey.std = ((numbers * luma).sum().expand(1, 3, 1, 1) for numbers in (model.mean, model.std))
    return grey


def takes_grey(network: nn.Module) -> bool:
    """Whether a network takes grey images inside."""
    return any(isinstance(module, GreyInput) for module in network.modules())


def grey_level(numbers: tuple[float, ...]) -> tuple[float, float, float]:
    """A mean or deviation of RGB or grey images, as the same grey level for each of the three channels."""
    level = numbers[0] if len(numbers) == 1 else sum(weight * n for weight, n in zip(LUMA, numbers, strict=True))
    return level, level, level
