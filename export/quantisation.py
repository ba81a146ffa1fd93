"""INT8 with onnxruntime's quantiser, calibrated on real or synthetic images, with sensitive layers in float32."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from onnx import ModelProto

from compress.errors import GateError, UsageError

from .calibration import activation_ranges, logits_of
from .precision import Array, Converted, Source
from .quantised_graph import RANGED, NetworkToQuantise
from .sensitivity import layer_errors
from .tolerance import INT8

CALIBRATED_ON, CHECKED_ON = 256, 256
"""Most images for calibration, and most for the check of decisions; the latter follow the former."""
MOST_IMAGES = CALIBRATED_ON + CHECKED_ON
PIXELS, FEWEST = 256 * 224 * 224, 32
"""Most pixels of the images in each of the two halves, and the number of images that is used in any case."""
SAVED_IN_INT8 = 0.75
"""Share of the bytes of a layer's weights that INT8 saves."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An INT8 network with some layers in float32."""

    model: ModelProto
    decisions: float
    """Share of decisions on held-out images that are equal to float32's or differ by a near-tie only."""
    kept_float: tuple[str, ...]
    """Names of the layers in float32."""


def to_int8(source: Source) -> Converted:
    """The network with 8-bit weights and activations, as QuantizeLinear/DequantizeLinear pairs.

    The first half of the images gives the ranges of activations; on the second half, decisions are compared with
    float32's. Biases compensate the mean rounding error of each channel. If decisions change too often, layers return
    to float32, those with the largest error first. The errors are measured in one pass, and the number of float32
    layers is found by binary search. Raises `UsageError` without images, and `GateError` if decisions change too often
    for every number of float32 layers that still saves enough.
    """
    ranged, checked = _halves(source.images)
    with _quiet():
        network = NetworkToQuantise(
            network=source.network,
            ranges=activation_ranges(source.network, ranged, RANGED),
            scheme=source.target.scheme,
        )
        errors = layer_errors(network, ranged)
        network = replace(network, corrections={layer: error.shift for layer, error in errors.items()})
        expected = logits_of(source.network, checked)
        worst_first = sorted(network.layers, key=lambda layer: -errors[layer].noise)

        def attempt(count: int) -> Attempt:
            kept = worst_first[:count]
            model = network.with_float(kept)
            decisions = _kept(logits_of(model, checked), expected)
            return Attempt(model=model, decisions=decisions, kept_float=tuple(kept))

        result = search(attempt, _most_float(source, network, worst_first))
    summary = (
        f"INT8 keeps {result.decisions:.2%} of float32's decisions, near-ties apart, on {len(checked)} images that it "
        f"was not calibrated on; {len(network.layers) - len(result.kept_float)} of {len(network.layers)} layers are in "
        f"INT8, in float32: {', '.join(result.kept_float) or 'none'}"
    )
    return Converted(network=result.model, said=summary, kept_float=result.kept_float)


def search(attempt: Callable[[int], Attempt], most: int) -> Attempt:
    """The attempt with the fewest float32 layers that keeps enough decisions: their number is doubled until it does,
    then reduced by binary search. Raises `GateError` if `most` layers are not enough."""
    result, failed, count = attempt(0), -1, 0
    while result.decisions < INT8.decisions:
        if count >= most:
            raise GateError(
                f"INT8 keeps {result.decisions:.1%} of the decisions with {count} layers in float32, "
                f"{INT8.decisions:.0%} are required and more layers in float32 would save too little: "
                "use `precision` fp16 or fp32"
            )
        failed, count = count, min(max(2 * count, 1), most)
        result = attempt(count)
    while count - failed > 1:
        middle = (failed + count) // 2
        candidate = attempt(middle)
        if candidate.decisions >= INT8.decisions:
            result, count = candidate, middle
        else:
            failed = middle
    return result


def _most_float(source: Source, network: NetworkToQuantise, worst_first: Sequence[str]) -> int:
    """The largest number of float32 layers for which the other layers save the least share of all bytes."""
    needed, saved = source.least_saved * source.network.ByteSize(), 0.0
    for count in range(len(worst_first) - 1, 0, -1):
        saved += SAVED_IN_INT8 * network.weight_bytes(worst_first[count])
        if saved >= needed:
            return count
    return 0


def _halves(images: Array) -> tuple[Array, Array]:
    """Images for calibration and images for the check of decisions; fewer if they are large."""
    if len(images) < 2:
        raise UsageError("INT8 needs calibration images: export a run, which has synthetic samples, or give some")
    at_most = max(PIXELS // (images.shape[-2] * images.shape[-1]), FEWEST)
    count = min(CALIBRATED_ON, at_most, len(images) // 2)
    return images[:count], images[count : count + min(CHECKED_ON, at_most)]


def _kept(logits: Array, expected: Array) -> float:
    return INT8.kept(torch.from_numpy(expected), torch.from_numpy(logits).argmax(dim=1))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantiser's advice to prepare the model, which torch's exporter has done already."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
