"""What a file of some precision has to keep of the network that it was made from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from the network in float32."""

    decisions: float
    """Share of decisions to be kept."""
    tie: float
    """A decision is kept if the network gives it, too, a probability within this of its best."""
    difference: float
    """Largest difference of the scores, as a share of the largest score."""

    def widened(self, rounding: float) -> Tolerance:
        """For a network whose own answers in float32 are off by `rounding`: so may be the file's, the other way."""
        return replace(self, tie=self.tie + 2 * rounding, difference=self.difference + 2 * rounding)

    def met(self, logits: Tensor, decisions: Tensor, difference: float) -> bool:
        """Whether the file's `decisions [n, *s]` and its scores' largest `difference` are near enough.

        The network's `logits [n, k, *s]` make these decisions, too, or miss them by a near-tie.
        """
        return self.kept(logits, decisions) >= self.decisions and difference <= self.difference

    def kept(self, logits: Tensor, decisions: Tensor) -> float:
        """Share of `decisions [n, *s]` that the network's `logits [n, k, *s]` make too, or miss by a near-tie."""
        probabilities = logits.softmax(dim=1)
        chosen = probabilities.gather(1, decisions.unsqueeze(1)).squeeze(1)
        return (probabilities.amax(dim=1) - chosen <= self.tie).float().mean().item()


TOLERANCES = {
    "fp32": Tolerance(0.999, 1e-4, 2e-4),  # correct files of 71 segmenters differ by 7e-5 at worst
    "fp16": Tolerance(0.995, 1e-2, 2e-2),
    "int8": Tolerance(0.99, 0.1, math.inf),  # a step of 1/255 in every layer moves scores: decisions are the promise
}
