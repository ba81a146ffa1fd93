"""The precisions of a file by name."""

from __future__ import annotations

from compress.tables import OpenTable

from .fp16 import to_fp16
from .precision import Precision
from .quantisation import to_int8
from .tolerance import FP16, FP32, INT8

PRECISIONS = OpenTable(
    "compress.precisions",
    Precision,
    {
        "fp32": Precision(meaning="32-bit floating point, as the network was trained", tolerance=FP32),
        "fp16": Precision(
            meaning="16-bit floating point, for GPUs; inputs and outputs stay in float32",
            tolerance=FP16,
            convert=to_fp16,
            note="fp16 is for GPUs: on a CPU it can take several times as long as fp32",
        ),
        "int8": Precision(
            meaning="8-bit integers, calibrated on images; sensitive layers stay in float32",
            tolerance=INT8,
            convert=to_int8,
            calibrated=True,
            note=(
                "int8 is faster only where the processor multiplies 8-bit integers well, which `compress benchmark` "
                "measures; its ranges come from the images that it was calibrated on"
            ),
        ),
    },
)
"""A package adds its own by an entry point in the group `compress.precisions`, a script by `PRECISIONS[name] = ...`."""


def find_precision(name: str) -> Precision:
    """The precision called `name`.

    Raises `UsageError` for an unknown name, with the nearest known one, and for a broken package, with its name.
    """
    return PRECISIONS.require(name, "precision")
