"""The record of a precision: how a network is written in it, what has to be kept, and what is said of the file."""

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
    """What a network in another precision is made from."""

    network: ModelProto
    """In float32: `images`, float32 `[n, 3, h, w]` in [0, 1], to `network_logits [n, k, *s]`."""
    images: Array
    """Float32 `[n, 3, h, w]` in [0, 1], for ranges of activations; `[0, 3, h, w]` where none are needed."""
    target: Target
    """Where the file is to run."""
    least_saved: float = 0.0
    """Share of the bytes that has to be saved at least; less is not worth a search."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A network in another precision."""

    network: ModelProto
    """With the inputs and outputs of the one in float32."""
    said: str = ""
    """What whoever exports it should read; a sentence."""
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
    """What a file keeps of the network in float32, or it is refused."""
    convert: Callable[[Source], Converted] = unchanged
    """Makes the network; raises `GateError` if it would keep too little."""
    calibrated: bool = False
    """Whether it needs images to read ranges of activations from."""
    note: str = ""
    """What is said of every such file, when it is written, in its card and in reports; a sentence."""


def no_images(shape: tuple[int, int, int]) -> Array:
    """None, of images of a shape."""
    return np.empty((0, *shape), dtype=np.float32)
