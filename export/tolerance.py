"""How far a file may differ from the network that it was exported from, by precision."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

TORCH_ROUNDING = 10
"""A correct file may differ from float64 by this multiple of torch's own error; the worst of 71 segmenters had 3.7."""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far a file may differ from the float32 network."""

    decisions: float
    """Least share of decisions that are kept."""
    tie: float
    """A decision is kept if the network's probability for it is within this of its best probability."""
    difference: float
    """Largest difference of the scores, as a share of the largest score."""
    logits: float
    """Largest difference of the logits, as a share of their spread: see `parity_measures.spread`."""

    exact: bool = False
    """Whether the file computes in float32, so that only rounding may differ."""

    def widened(self, rounding: float) -> Tolerance:
        """The tolerance for a network whose float32 outputs have the error `rounding`: the file may have it as well."""
        return replace(self, tie=self.tie + 2 * rounding, difference=self.difference + 2 * rounding)

    def least(self, images: int) -> float:
        """Least share of decisions that are kept on a sample of so many images.

        If logits may differ freely, a sample may fall below the promised share by two standard errors.
        """
        slack = 2 * math.sqrt(self.decisions * (1 - self.decisions) / images) if math.isinf(self.logits) else 0.0
        return self.decisions - slack

    def kept(self, logits: Tensor, decisions: Tensor) -> float:
        """Share of `decisions [n, *s]` that agree with the network's `logits [n, k, *s]` up to near-ties."""
        probabilities = logits.softmax(dim=1)
        chosen = probabilities.gather(1, decisions.unsqueeze(1)).squeeze(1)
        return (probabilities.amax(dim=1) - chosen <= self.tie).double().mean().item()


FP32 = Tolerance(decisions=0.999, tie=1e-4, difference=2e-4, logits=2e-4, exact=True)
"""Correct files of 71 segmenters differ by at most 7e-5."""
FP16 = Tolerance(decisions=0.995, tie=1e-2, difference=2e-2, logits=5e-2)
INT8 = Tolerance(decisions=0.99, tie=0.1, difference=math.inf, logits=math.inf)
"""Rounding by 1/255 in every layer changes scores, so only decisions are compared."""
