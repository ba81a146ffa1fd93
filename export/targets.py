"""Where a file is to run: how INT8 is written for it, and what its documents say it does not take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from onnx import ModelProto

from compress.errors import unknown_name
from compress.tables import OpenTable

from .target_limits import foreign_operators, tensorrt_limits

Limits = Callable[[ModelProto], list[str]]


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How INT8 is written. Weights are always signed and symmetric, with a scale a channel."""

    symmetric: bool
    """Activations are signed with a zero point of 0; otherwise unsigned with one of their own."""
    seven_bits: bool
    """Weights leave a bit free: processors without VNNI add pairs of products in 16 bits, which others overflow."""
    integer_bias: bool
    """Biases are 32-bit integers; otherwise float32."""
    behind_layers: bool
    """Convolutions' outputs are quantised wherever they lead to, not only in front of the next layer."""


UNSIGNED = Scheme(symmetric=False, seven_bits=True, integer_bias=True, behind_layers=True)
"""Fast on CPUs: onnxruntime runs a convolution in integers if its output is quantised, too."""
FUSED = replace(UNSIGNED, behind_layers=False)
"""For OpenVINO, which computes a convolution and what stands behind it at once, up to where the next layer's input is
rounded: a pair in between, as behind a convolution in front of an addition, it does not round by."""
SIGNED = Scheme(symmetric=True, seven_bits=False, integer_bias=False, behind_layers=False)
"""What TensorRT takes, with pairs where its documents recommend them: in front of layers, and of what is added."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A runtime that files are written for."""

    meaning: str
    """One line for `compress list targets`."""
    scheme: Scheme
    limits: Limits
    """What it does not take of a file, a reason each."""
    timed_here: bool
    """Whether times in onnxruntime on this machine's CPU tell anything about it."""


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

    Raises `UsageError` if there is none, with the nearest name, or if its package is broken, with the package's name.
    """
    target = TARGETS.find(name)
    if target is None:
        raise unknown_name("target", name, TARGETS.names())
    return target


def limits_by_target(model: ModelProto) -> Mapping[str, list[str]]:
    """For every built-in target, why it does not take the file; nothing where it does."""
    return {name: target.limits(model) for name, target in TARGETS.items()}
