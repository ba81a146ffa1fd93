"""Timing of several models in interleaved rounds on one machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Once = Callable[[], object]
"""A function that runs a model on one batch."""
WARM_UP = 3
FEWEST = 5
"""Smallest number of rounds, regardless of the time."""
BLOCK_SECONDS = 0.02
"""Shortest timed block in seconds; reading the clock costs less than a thousandth of it."""


@dataclass(frozen=True)
class Latency:
    """Seconds per batch of one model, over interleaved rounds."""

    seconds: Sequence[float]
    """One number per round: the mean over the runs in it."""

    def percentile(self, share: float) -> float:
        """The percentile `share`, 0 to 100, over the rounds."""
        return float(np.percentile(self.seconds, share))

    def ratio(self, other: Latency) -> float:
        """How many times faster this is than `other`: the median of the ratios per round, so that load cancels out."""
        return float(np.median(np.asarray(other.seconds) / np.asarray(self.seconds)))


def interleaved(contenders: Mapping[str, Once], seconds: float) -> dict[str, Latency]:
    """Time all models in turn, for about `seconds` each in total. The order rotates by one every round."""
    names, times = list(contenders), {name: list[float]() for name in contenders}
    repeats = {name: _repeats(once) for name, once in contenders.items()}
    ends = time.perf_counter() + seconds * len(names)
    while time.perf_counter() < ends or len(times[names[0]]) < FEWEST:
        for name in names:
            started = time.perf_counter()
            for _ in range(repeats[name]):
                contenders[name]()
            times[name].append((time.perf_counter() - started) / repeats[name])
        names = [*names[1:], names[0]]
    return {name: Latency(values) for name, values in times.items()}


def _repeats(once: Once) -> int:
    """The number of runs that fill a block, measured after a warm-up."""
    for _ in range(WARM_UP):
        once()
    started = time.perf_counter()
    once()
    return max(round(BLOCK_SECONDS / max(time.perf_counter() - started, 1e-9)), 1)
