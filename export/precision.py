"""The record of a precision: how a network is converted, the tolerance, and a note about such files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from .targets import Target
from .tolerance import Tolerance

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Source:
    """The inputs of a conversion to another precision."""

    network: ModelProto
    """The float32 network: `images`, float32 `[n, 3, h, w]` in [0, 1], to `network_logits [n, k, *s]`."""
    images: Array
    """Calibration images, float32 `[n, 3, h, w]` in [0, 1]; `[0, 3, h, w]` if the precision needs none."""
    target: Target
    """The runtime for the file."""
    least_saved: float = 0.0
    """Least share of the bytes that must be saved; a conversion that saves less can be given up."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A network in another precision."""

    network: ModelProto
    """It has the inputs and outputs of the float32 network."""
    said: str = ""
    """A sentence for the user who exports it."""
    kept_float: tuple[str, ...] = ()
    """Names of the layers that stayed in float32, the most sensitive first."""


def unchanged(source: Source) -> Converted:
    """The network in float32."""
    return Converted(network=source.network)


@dataclass(frozen=True, kw_only=True)
class Precision:
    """A number format of a network's arithmetic or weights."""

    meaning: str
    """One line for `compress list precisions`."""
    tolerance: Tolerance
    """How far a file may differ from the float32 network; files that differ more are refused."""
    convert: Callable[[Source], Converted] = unchanged
    """Converts the network; raises `GateError` if too many decisions would change."""
    calibrated: bool = False
    """Whether it needs calibration images for the ranges of activations."""
    note: str = ""
    """A sentence about every such file, shown at export, in its card and in reports."""


def no_images(shape: tuple[int, int, int]) -> Array:
    """An empty array of images of a shape, for precisions without calibration."""
    return np.empty((0, *shape), dtype=np.float32)
