"""Networks of one channel, on RGB images: grey is the luma of ITU-R BT.601, as Pillow and OpenCV compute it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .normalised import NormalisedModel
from .two_part import TwoPartClassifier

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue; together 1, so that grey can be taken before or after a normalisation."""


class GreyInput(nn.Module):
    """A network of grey images as one of RGB images; its weights are those of the network inside.

    Mean and deviation must be the same for the three channels.
    """

    luma: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """What the network answers to images `[n, 3, h, w]` in grey."""
        answer: Tensor = self.network(self.grey(images))
        return answer

    def grey(self, images: Tensor) -> Tensor:
        """`[n, 1, h, w]` of RGB images."""
        return (images * self.luma).sum(dim=1, keepdim=True)


class GreyClassifier(GreyInput):
    """A classifier whose last feature map can be had."""

    def forward_features(self, images: Tensor) -> Tensor:
        """The last feature map `[n, c, h, w]`."""
        assert isinstance(self.network, TwoPartClassifier)
        return self.network.forward_features(self.grey(images))

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits `[n, k]` of such a map."""
        assert isinstance(self.network, TwoPartClassifier)
        return self.network.forward_head(features)


def of_grey_images(model: NormalisedModel) -> NormalisedModel:
    """A model of RGB images whose network takes grey ones."""
    wrap = GreyClassifier if isinstance(model.network, TwoPartClassifier) else GreyInput
    grey = NormalisedModel(wrap(model.network))
    shares = model.mean.new_tensor(LUMA).view(1, 3, 1, 1)
    grey.mean, grey.std = ((numbers * shares).sum().expand(1, 3, 1, 1) for numbers in (model.mean, model.std))
    return grey


def takes_grey(network: nn.Module) -> bool:
    """Whether a network is one of grey images."""
    return any(isinstance(module, GreyInput) for module in network.modules())


def grey_level(numbers: tuple[float, ...]) -> tuple[float, float, float]:
    """A mean or deviation of RGB images, or of grey ones, for the three channels that grey is made of."""
    level = numbers[0] if len(numbers) == 1 else sum(share * n for share, n in zip(LUMA, numbers, strict=True))
    return level, level, level
