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
"""Images at most, of those given for INT8: the first, and those after them."""
MOST_IMAGES = CALIBRATED_ON + CHECKED_ON
PIXELS, FEWEST = 256 * 224 * 224, 32
"""Of the images that are looked at together at most, and how many there are however large they are."""
SAVED_IN_INT8 = 0.75
"""Of the bytes of a layer's weights."""


@dataclass(frozen=True)
class Attempt:
    """A network with some layers in float32."""

    model: ModelProto
    decisions: float
    """Share of float32's decisions that it keeps, or misses by a near-tie, on images that it was not calibrated on."""
    kept_float: tuple[str, ...]
    """Names of the layers."""


def to_int8(source: Source) -> Converted:
    """The network with weights and activations of 8 bits, as QuantizeLinear/DequantizeLinear pairs.

    Ranges of activations are read from the first half of the images, decisions are compared with float32's on the
    second. Biases make up for the mean error that rounding leaves in each channel. If decisions change too often,
    layers return to float32, those with the largest error of their own first: errors are measured in one pass, and the
    number of layers is searched by halving. Raises `UsageError` without images, `GateError` if decisions change too
    often however many layers stay in float32 that leave something to save.
    """
    ranged, checked = _halves(source.images)
    with _quiet():
        network = NetworkToQuantise(
            source.network, activation_ranges(source.network, ranged, RANGED), source.target.scheme
        )
        errors = layer_errors(network, ranged)
        network = replace(network, corrections={layer: error.shift for layer, error in errors.items()})
        expected = logits_of(source.network, checked)
        worst_first = sorted(network.layers, key=lambda layer: -errors[layer].noise)

        def attempt(count: int) -> Attempt:
            kept = worst_first[:count]
            model = network.with_float(kept)
            return Attempt(model, _kept(logits_of(model, checked), expected), tuple(kept))

        result = search(attempt, _most_float(source, network, worst_first))
    said = (
        f"INT8 keeps {result.decisions:.2%} of float32's decisions, near-ties apart, on {len(checked)} images that it "
        f"was not calibrated on; {len(network.layers) - len(result.kept_float)} of {len(network.layers)} layers are in "
        f"INT8, in float32: {', '.join(result.kept_float) or 'none'}"
    )
    return Converted(network=result.model, said=said, kept_float=result.kept_float)


def search(attempt: Callable[[int], Attempt], most: int) -> Attempt:
    """The attempt with the fewest layers in float32 that keeps enough: their number doubles until it does, and the last
    step is halved."""
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
        tried = attempt(middle)
        if tried.decisions >= INT8.decisions:
            result, count = tried, middle
        else:
            failed = middle
    return result


def _most_float(source: Source, network: NetworkToQuantise, worst_first: Sequence[str]) -> int:
    """How many layers may stay in float32 so that the others save the least share of all bytes."""
    needed, saved = source.least_saved * source.network.ByteSize(), 0.0
    for count in range(len(worst_first) - 1, 0, -1):
        saved += SAVED_IN_INT8 * network.weight_bytes(worst_first[count])
        if saved >= needed:
            return count
    return 0


def _halves(images: Array) -> tuple[Array, Array]:
    """Images to read ranges from, and others to compare decisions on; fewer where they are large."""
    if len(images) < 2:
        raise UsageError("INT8 needs calibration images: export a run, which has synthetic samples, or give some")
    at_most = max(PIXELS // (images.shape[-2] * images.shape[-1]), FEWEST)
    count = min(CALIBRATED_ON, at_most, len(images) // 2)
    return images[:count], images[count : count + min(CHECKED_ON, at_most)]


def _kept(logits: Array, expected: Array) -> float:
    return INT8.kept(torch.from_numpy(expected), torch.from_numpy(logits).argmax(dim=1))


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises on preparing models, by the root logger; torch's exporter has done what it advises."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
