"""Binary segmenters: one logit z a pixel; a pixel is of the second class where sigmoid(z) exceeds a threshold.

The logits (0, z) of two classes are equivalent, because their softmax is that sigmoid. A threshold t shifts z by
log(t / (1 - t)). So losses, buffer, metric and ONNX graph see two classes, and need no case for one logit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from compress.errors import UsageError

from .grey_input import GreyInput
from .normalised import NormalisedModel

USUAL_THRESHOLD = 0.5


class OneLogit(nn.Module):
    """A network with one output channel, wrapped as a network of two classes; it has no weights of its own.

    Raises `UsageError` for a threshold that is not between 0 and 1.
    """

    def __init__(self, network: nn.Module, threshold: float = USUAL_THRESHOLD) -> None:
        super().__init__()
        if not 0 < threshold < 1:
            raise UsageError(f"`threshold` is {threshold}: a probability above 0 and below 1 is needed")
        self.network, self.threshold = network, threshold

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[n, 2, *s]` of images `[n, 3, h, w]`; the second is above 0 where the probability is above the
        threshold."""
        logit: Tensor = self.network(images)
        shifted = logit - math.log(self.threshold / (1 - self.threshold))
        return torch.cat([torch.zeros_like(shifted), shifted], dim=1)


def as_one_logit(model: NormalisedModel, threshold: float) -> NormalisedModel:
    """Wrap a model whose network has one output channel as a model of two classes."""
    return NormalisedModel(
        OneLogit(model.network, threshold), model.mean.flatten().tolist(), model.std.flatten().tolist()
    )


def bare(network: nn.Module) -> nn.Module:
    """The network without the wrappers `OneLogit` and `GreyInput`: its weight names are those in files."""
    while isinstance(network, (OneLogit, GreyInput)):
        network = network.network
    return network


def threshold_of(model: nn.Module) -> float | None:
    """The threshold of a model of one logit; None for other models."""
    network = getattr(model, "network", None)
    return network.threshold if isinstance(network, OneLogit) else None


def move_threshold(model: nn.Module, threshold: float) -> None:
    """Set the threshold; raises `UsageError` for a model without one, or for a number outside (0, 1)."""
    network = getattr(model, "network", None)
    if not isinstance(network, OneLogit):
        raise UsageError("`threshold` is for binary segmenters of one logit: this model has a logit for every class")
    network.threshold = OneLogit(nn.Identity(), threshold).threshold
