"""The rounding error of torch's float32 against float64, by which a correct file may differ from torch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .card import FileCard
from .parity_measures import spread
from .reference_outputs import expected_logits


@dataclass(frozen=True)
class Rounding:
    """The largest differences between a network in float32 and in float64."""

    logits: float
    """As a share of the spread of the logits."""
    probabilities: float
    """As a share of the largest probability."""


@torch.no_grad()
def rounding_of(network: nn.Module, card: FileCard, batches: Sequence[Tensor]) -> Rounding:
    """The rounding error on images `[n, 3, h, w]` in [0, 1]; 0 if the network cannot run in float64."""
    logits = probabilities = 0.0
    try:
        precise = copy.deepcopy(network).double()
        for images in batches:
            rounded, exact = expected_logits(network, card, images), expected_logits(precise, card, images.double())
            logits = max(logits, (rounded - exact).abs().max().item() / spread(exact))
            shares, best = (values.softmax(dim=1) for values in (rounded, exact))
            probabilities = max(probabilities, ((shares - best).abs().max() / best.max()).item())
    except Exception:  # its code creates float32 tensors, or refuses this size
        return Rounding(0.0, 0.0)
    return Rounding(logits, probabilities)
