"""Runtimes that files are written for: their INT8 scheme, and the limits in their documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from onnx import ModelProto

from compress.tables import OpenTable

from .target_limits import foreign_operators, tensorrt_limits

Limits = Callable[[ModelProto], list[str]]


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """An INT8 scheme. Weights are always signed and symmetric, with one scale per channel."""

    symmetric: bool
    """Activations are signed with a zero point of 0; otherwise unsigned with a zero point of their own."""
    seven_bits: bool
    """Weights use 7 bits: CPUs without VNNI add pairs of products in 16 bits, which overflow with 8-bit weights."""
    integer_bias: bool
    """Biases are 32-bit integers; otherwise float32."""
    behind_layers: bool
    """All outputs of convolutions are quantised, not only those that another quantised layer reads."""


UNSIGNED = Scheme(symmetric=False, seven_bits=True, integer_bias=True, behind_layers=True)
"""Fast on CPUs: onnxruntime runs a convolution in integers only if its output is quantised too."""
FUSED = replace(UNSIGNED, behind_layers=False)
"""For OpenVINO, which fuses a convolution with the operators after it and ignores pairs in between, for example between
a convolution and an addition. It rounds at the input of the next layer only."""
SIGNED = Scheme(symmetric=True, seven_bits=False, integer_bias=False, behind_layers=False)
"""TensorRT's scheme, with pairs where its documentation recommends them: at inputs of layers and of additions."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A runtime that files are written for."""

    meaning: str
    """One line for `compress list targets`."""
    scheme: Scheme
    limits: Limits
    """Lists the reasons why it does not support a file; empty if it does."""
    timed_here: bool
    """Whether times in onnxruntime on this machine's CPU are representative for it."""


TARGETS = OpenTable(
    "compress.targets",
    Target,
    {
        "cpu": Target(meaning="onnxruntime on CPUs", scheme=UNSIGNED, limits=lambda model: [], timed_here=True),
        "tensorrt": Target(
            meaning="TensorRT; checked against its documents, not run",
            scheme=SIGNED,
            limits=tensorrt_limits,
            timed_here=False,
        ),
        "openvino": Target(meaning="OpenVINO on CPUs", scheme=FUSED, limits=foreign_operators, timed_here=False),
    },
)
"""A package adds its own by an entry point in the group `compress.targets`, a script by `TARGETS[name] = ...`."""


def find_target(name: str) -> Target:
    """The target called `name`.

    Raises `UsageError` for an unknown name, with the nearest known one, and for a broken package, with its name.
    """
    return TARGETS.require(name, "target")


def limits_by_target(model: ModelProto) -> Mapping[str, list[str]]:
    """For every built-in target, the reasons why it does not support the file; empty if it does."""
    return {name: target.limits(model) for name, target in TARGETS.items()}
