"""Comparison of an ONNX file with the torch module, including batch and image sizes that were not traced."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from compress.errors import GateError, first_line
from compress.task import Deployable, TaskSpec

from .comparison_images import in_shades, noise, resized
from .parity_measures import Parity, measure_answers
from .part_parity import check_parts
from .precisions import find_precision
from .reference_outputs import expected_logits
from .rounding import rounding_of
from .runtime import OnnxModel
from .scoring import Runnable, answers

Shape = tuple[int, int, int, int]


def shapes_to_check(spec: TaskSpec, *, dynamic_size: bool) -> list[Shape]:
    """The traced shape, batch 1, another batch and, if sizes are free, an untraced size and an odd one.

    `OnnxModel` splits these batches for a file of a fixed batch.
    """
    _, height, width = spec.image_shape
    shapes = [(2, 3, height, width), (1, 3, height, width), (5, 3, height, width)]
    return [*shapes, (3, 3, height + 32, width + 64), (2, 3, height + 5, width + 11)] if dynamic_size else shapes


def check_parity(
    network: Deployable, model: OnnxModel, shapes: Sequence[Shape], images: Tensor | None = None
) -> list[Parity]:
    """Compare the whole file at each shape, then its parts separately on many images: see `part_parity`.

    The images are `images [n, 3, h, w]` in [0, 1], resized, and noise if there are none or too few.
    """
    return [*check_shapes(network, model, shapes, images), *check_parts(network, model, images)]


def check_shapes(
    network: Deployable, model: Runnable, shapes: Sequence[Shape], images: Tensor | None = None
) -> list[Parity]:
    """Compare the whole file at each shape.

    If file and network differ by more than the tolerance, the network also runs in float64 to measure its own rounding
    error, and the tolerance grows by that error. Networks with logits in the thousands have large rounding errors.
    """
    inputs = [_inputs(shape, images) for shape in shapes]
    results = [_compare(network, model, shown) for shown in inputs]
    if all(result.passed or result.failure for result in results):
        return results
    rounding = rounding_of(network, model.card, inputs).probabilities
    pairs = zip(results, inputs, strict=True)
    return [result if result.passed else _compare(network, model, shown, rounding) for result, shown in pairs]


def require_parity(results: Sequence[Parity]) -> None:
    """Raise `GateError` naming the shapes at which the file and the model differ."""
    failed = [str(result) for result in results if not result.passed]
    if failed:
        raise GateError(f"the ONNX file differs from the model at {'; '.join(failed)}")


def _inputs(shape: Shape, images: Tensor | None) -> Tensor:
    """Evenly selected images, resized to the shape, or noise."""
    count, _, *size = shape
    if images is None or not len(images):
        return noise(count, (size[0], size[1]))
    some = torch.linspace(0, len(images) - 1, count).round().long()
    return in_shades(resized(images[some], (size[0], size[1])))


@torch.no_grad()
def _compare(network: Deployable, model: Runnable, images: Tensor, rounding: float = 0.0) -> Parity:
    card, shape = model.card, tuple(images.shape)
    try:
        logits = expected_logits(network, card, images)
    except Exception as error:  # networks raise many exception types
        return Parity.failed(shape, f"torch refuses: {first_line(error, 120)}")
    try:
        actual = answers(model, images)
    except Exception as error:  # onnxruntime's exceptions share no public base class
        return Parity.failed(shape, f"onnxruntime fails: {first_line(error, 120)}")
    allowed = find_precision(card.precision).tolerance.widened(rounding)
    try:
        measured, _ = measure_answers(logits, actual, card, allowed)
    except ValueError as error:
        return Parity.failed(shape, str(error))
    # where rounding may move logits freely, one decision of a few images may change: many images measure the rate
    spare = 1 / measured.count if math.isinf(allowed.logits) else 0.0
    passed = measured.kept >= allowed.decisions - spare and measured.share <= allowed.difference
    return measured.verdict(shape, passed, rounding)
