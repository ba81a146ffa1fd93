"""Bytes, and time on this machine's CPU, that another precision saves compared with float32."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import ModelProto

from compress.errors import GateError

from .calibration import session
from .latency import interleaved
from .precision import Array
from .processing import BODY_INPUT

SECONDS = 0.2
"""Timing of each of the two networks, in seconds."""
LEAST_SAVED = 0.1
"""Default of the least share of bytes or time that another precision must save."""


@dataclass(frozen=True, kw_only=True)
class Saving:
    """Size and time of a network in float32 and in another precision."""

    before: int
    """Bytes in float32."""
    after: int
    """Bytes in the other precision."""
    milliseconds: tuple[float, float] | None
    """Time for one image in onnxruntime on this machine's CPU, before and after; None if the file is for another
    processor."""

    @property
    def share(self) -> float:
        """The larger of the saved shares of bytes and time; negative if both grew."""
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
        """Raise `GateError` if the saved shares of bytes and of time are both below `least`."""
        if least and self.share < least:
            raise GateError(
                f"{precision} saves too little: {self}; {least:.0%} of one of them are required; use `precision` "
                "fp32, or accept any file with `least_saved` 0"
            )


def saving_of(before: ModelProto, after: ModelProto, image: Array, *, timed: bool) -> Saving:
    """Compare two networks; `timed` with an image float32 `[1, 3, h, w]`."""
    milliseconds = None
    if timed:
        first, second = session(before), session(after)
        inputs = {BODY_INPUT: image}
        latencies = interleaved(
            {"before": lambda: first.run(None, inputs), "after": lambda: second.run(None, inputs)}, SECONDS
        )
        milliseconds = (1000 * latencies["before"].percentile(50), 1000 * latencies["after"].percentile(50))
    return Saving(before=before.ByteSize(), after=after.ByteSize(), milliseconds=milliseconds)
