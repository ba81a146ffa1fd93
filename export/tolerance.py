"""What a file of some precision has to keep of the network that it was made from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

TORCH_ROUNDING = 10
"""How many times as far as torch itself a right file may be from float64: 3.7 at most in 71 segmenters."""


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from the network in float32."""

    decisions: float
    """Share of decisions to be kept."""
    tie: float
    """A decision is kept if the network gives it, too, a probability within this of its best."""
    difference: float
    """Largest difference of the scores, as a share of the largest score."""
    logits: float
    """Largest difference of the logits, as a share of how far they lie apart."""

    exact: bool = False
    """Whether the file computes as the network does, so that rounding is all that may differ on any image."""

    def widened(self, rounding: float) -> Tolerance:
        """For a network whose own answers in float32 are off by `rounding`: so may be the file's, the other way."""
        return replace(self, tie=self.tie + 2 * rounding, difference=self.difference + 2 * rounding)

    def least(self, images: int) -> float:
        """Share of decisions to be kept on a sample of so many images.

        Where logits are free to differ, a sample may have two standard errors fewer than the share that is promised.
        """
        slack = 2 * math.sqrt(self.decisions * (1 - self.decisions) / images) if math.isinf(self.logits) else 0.0
        return self.decisions - slack

    def kept(self, logits: Tensor, decisions: Tensor) -> float:
        """Share of `decisions [n, *s]` that the network's `logits [n, k, *s]` make too, or miss by a near-tie."""
        probabilities = logits.softmax(dim=1)
        chosen = probabilities.gather(1, decisions.unsqueeze(1)).squeeze(1)
        return (probabilities.amax(dim=1) - chosen <= self.tie).double().mean().item()


FP32 = Tolerance(0.999, 1e-4, 2e-4, 2e-4, exact=True)  # correct files of 71 segmenters differ by 7e-5 at worst
FP16 = Tolerance(0.995, 1e-2, 2e-2, 5e-2)
INT8 = Tolerance(0.99, 0.1, math.inf, math.inf)  # 1/255 in every layer moves scores: decisions are the promise
