"""What another precision saves against float32: bytes, and time where it can be measured here."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import ModelProto

from compress.errors import GateError

from .calibration import session
from .latency import interleaved
from .precision import Array
from .processing import BODY_INPUT

SECONDS = 0.2
"""Of timing for each of the two."""
LEAST_SAVED = 0.1
"""Share of the bytes, or of the time, that another precision has to save."""


@dataclass(frozen=True, kw_only=True)
class Saving:
    """A network in float32 beside the same in another precision."""

    before: int
    """Bytes."""
    after: int
    milliseconds: tuple[float, float] | None
    """For one image in onnxruntime on this machine's CPU, before and after; None where that tells nothing."""

    @property
    def share(self) -> float:
        """The larger of the shares of bytes and of time that are saved; negative where both grew."""
        saved = 1 - self.after / self.before
        if self.milliseconds is None:
            return saved
        before, after = self.milliseconds
        return max(saved, 1 - after / before)

    def __str__(self) -> str:
        size = f"{self.after / 1e6:.2f} MB instead of {self.before / 1e6:.2f}"
        if self.milliseconds is None:
            return f"{size}; its time is not measured here"
        before, after = self.milliseconds
        return f"{size}; one image takes {after:.2f} ms instead of {before:.2f} on this CPU"

    def require(self, least: float, precision: str) -> None:
        """Raise `GateError` if less than a share is saved, of the bytes as of the time."""
        if least and self.share < least:
            raise GateError(
                f"{precision} saves too little: {self}, where {least:.0%} of one of them are required; use `precision` "
                "fp32, or accept any file with `least_saved` 0"
            )


def saving_of(before: ModelProto, after: ModelProto, image: Array, *, timed: bool) -> Saving:
    """For an image float32 `[1, 3, h, w]`."""
    milliseconds = None
    if timed:
        first, second = session(before), session(after)
        fed = {BODY_INPUT: image}
        latencies = interleaved(
            {"before": lambda: first.run(None, fed), "after": lambda: second.run(None, fed)}, SECONDS
        )
        milliseconds = (1000 * latencies["before"].percentile(50), 1000 * latencies["after"].percentile(50))
    return Saving(before=before.ByteSize(), after=after.ByteSize(), milliseconds=milliseconds)
