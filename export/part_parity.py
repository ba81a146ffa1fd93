"""Separate comparisons of the three parts of a file with torch, so that no part hides the error of another.

A softmax hides its logits: at probabilities of 1, a file with exchanged classes passes. So the network in the file is
compared by its logits on many images, the postprocessing on logits for which every class wins, and the preprocessing
by the images that it computes from pixels. The whole file is compared on the same images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from compress.errors import first_line
from compress.task import Deployable

from .card import FileCard
from .comparison_images import ComparisonImages, noise, probe_size
from .graph_parts import Part, Parts
from .parity_measures import Measured, Parity, by_image, exchanged, measure_answers, some_positions, spread
from .precisions import find_precision
from .processing import BODY_INPUT, BODY_OUTPUT
from .reference_outputs import at_size, best_class, expected_answers, expected_logits, seen_by_network
from .rounding import rounding_of
from .runtime import OnnxModel
from .scoring import answers
from .tolerance import FP32, TORCH_ROUNDING, Tolerance

BATCH_PIXELS, BATCH = 500_000, 64
"""Most pixels and most images that are compared at once."""
DOUBTED = 16
"""Number of images, those with the largest differences, on which the network also runs in float64."""
SHADES, MEAN = 3 / 255, 5e-4
"""Largest and mean difference allowed between preprocessed images and torch's, in [0, 1]: rounding decides where a
shade is between two."""
SIZES = ((0.6, 0.7), (1.7, 1.3), (1.0, 1.0))
"""Sizes of pictures for the preprocessing, as shares of the task's height and width."""
ROWS = 64
"""Rows of logits for the postprocessing that are run at once."""


def check_parts(network: Deployable, model: OnnxModel, images: Tensor | None) -> list[Parity]:
    """Compare the parts of a file, and the whole, on `images [n, 3, h, w]` in [0, 1] and noise, or on noise alone."""
    card = model.card
    free = card.dynamic_size and card.input == "float"
    size = probe_size(card.image_shape[1:], dynamic_size=free)
    many = ComparisonImages(size, images, filled=find_precision(card.precision).tolerance.exact)
    try:
        parts = Parts(model.path)
        last, sized = parts.postprocessing()
        first = parts.preprocessing()
        with torch.no_grad():
            positions = tuple(network(many[[0]]).shape[2:])
        results = [
            *_check_many(network, model, parts.network(), many),
            _check_answers(last, card, positions, sized=sized),
        ]
        return results if first is None else [*results, _check_preprocessing(first, card)]
    except Exception as error:  # onnxruntime's exceptions share no public base class
        return [Parity.failed(many.shape, f"cannot be compared: {first_line(error, 120)}", "network")]


@dataclass(frozen=True, kw_only=True)
class _ComparedBatch:
    """The measures of one batch that both the network and the file have run on."""

    core: Measured
    whole: Measured
    expected: Tensor
    """The network's logits at some positions, `[m, k]`; `actual` are the file's."""
    actual: Tensor
    by_image: Tensor
    """The largest difference of each image, `[n]`."""


def _compare_batch(
    network: nn.Module, model: OnnxModel, core: Part, images: Tensor, allowed: Tolerance
) -> _ComparedBatch:
    card = model.card
    expected, actual = network(images), core(**{BODY_INPUT: images})[BODY_OUTPUT]
    if actual.shape != expected.shape:
        raise ValueError(f"its logits have the shape {list(actual.shape)}, the network's {list(expected.shape)}")
    difference = actual - expected
    measured = Measured.of(expected, best_class(actual), difference, spread(expected), allowed)
    height, width = images.shape[-2:]
    if card.input != "float":
        logits = expected_logits(network, card, images)
    else:
        logits = at_size(expected, (height, width)) if card.task == "segmentation" else expected
    if allowed.exact:  # a probability changes by no more than the logits, which are compared separately
        allowed = replace(allowed, tie=allowed.tie + measured.largest)
    whole, _ = measure_answers(logits, answers(model, images), card, allowed)
    return _ComparedBatch(
        core=measured,
        whole=whole,
        expected=some_positions(expected),
        actual=some_positions(actual),
        by_image=by_image(difference),
    )


@torch.no_grad()
def _check_many(network: Deployable, model: OnnxModel, core: Part, many: ComparisonImages) -> list[Parity]:
    """Compare the network by its logits and the file by its outputs, allowing for torch's rounding error if needed."""
    card, allowed = model.card, find_precision(model.card.precision).tolerance
    batches = many.batches(BATCH_PIXELS, BATCH)
    results = [_compare_batch(network, model, core, many[places], allowed) for places in batches]
    inner, whole = (Measured.together([getattr(one, name) for one in results]) for name in ("core", "whole"))
    shape, least, rounding = many.shape, allowed.least(len(many)), 0.0
    near = inner.share <= allowed.logits
    if not near and allowed.exact:
        worst = torch.cat([one.by_image for one in results]).topk(min(DOUBTED, len(many))).indices
        doubted = [many[[place]] for place in worst.tolist()]
        rounding = rounding_of(network, replace(card, input="float"), doubted).logits
        near = inner.share <= allowed.logits + TORCH_ROUNDING * rounding
    near = near and (allowed.exact or inner.kept >= least)
    result = inner.verdict(shape, near, rounding, "network")
    swapped = exchanged(*(torch.cat([getattr(one, name) for one in results]) for name in ("expected", "actual")))
    if swapped:
        pairs = ", ".join(f"{card.class_names[k]} has the logits of {card.class_names[j]}" for k, j in swapped[:3])
        result = replace(result, passed=False, failure=f"classes are exchanged: {pairs}")
    excess = inner.largest if allowed.exact else 0.0
    kept = whole.kept >= least and whole.largest <= allowed.difference * whole.scale + excess
    return [result, whole.verdict(shape, kept)]


def _check_answers(last: Part, card: FileCard, positions: tuple[int, ...], *, sized: bool) -> Parity:
    """Compare the postprocessing on logits `[n, k, *positions]` for which every class is the best somewhere."""
    exact, measures, rows = FP32, list[Measured](), 0
    logits = torch.empty(0)
    for logits in _winning(len(card.class_names), positions, maps=card.task == "segmentation"):
        size = (logits.shape[-2] + 5, logits.shape[-1] + 3)
        actual = last(**{BODY_OUTPUT: logits}, **({"size": torch.tensor(size)} if sized else {}))
        moved = at_size(logits, size) if sized else logits
        measures.append(measure_answers(moved, actual, card, exact)[0])
        expected = expected_answers(moved, card)
        if (
            card.task == "classification"
            and "classes" in actual
            and not torch.equal(actual["classes"], expected["classes"])
        ):
            return Parity.failed(logits.shape, "its classes are not those of the best logits", "answers")
        rows += len(logits)
    measured = Measured.together(measures)
    passed = measured.kept >= exact.decisions and measured.share <= exact.difference
    return measured.verdict((rows, *logits.shape[1:]), passed, part="answers")


def _winning(classes: int, positions: tuple[int, ...], *, maps: bool) -> Iterator[Tensor]:
    """Logits `[n, k, *positions]`, or maps of any size, for which each class is clearly the best somewhere."""
    randomness = torch.Generator().manual_seed(2)
    if maps:
        across = max(round(classes**0.5) + 1, 7)
        positions = (across, across)
    if positions:
        n = -(-classes // math.prod(positions))
        best = torch.arange(n * math.prod(positions)).remainder(classes).view(n, 1, *positions)
        yield torch.randn(n, classes, *positions, generator=randomness).scatter(1, best, 8.0)
        return
    for few in torch.split(torch.arange(classes), ROWS):
        order = torch.rand(len(few), classes, generator=randomness).argsort(dim=1)
        yield (order / classes * 8).scatter(1, few[:, None], 10.0)


def _check_preprocessing(first: Part, card: FileCard) -> Parity:
    """Compare the preprocessing on pictures that are smaller than the task's images, larger, and of the same size."""
    height, width = card.image_shape[1:]
    shape, differences = (len(SIZES), 3, height, width), list[Tensor]()
    for tall, wide in SIZES:
        pictures = noise(2, (max(round(height * tall), 1), max(round(width * wide), 1)))
        (prepared,) = first(pixels=pictures.mul(255).round().to(torch.uint8).movedim(1, 3)).values()
        expected = seen_by_network(pictures, card)
        if prepared.shape != expected.shape:
            return Parity.failed(pictures.shape, f"images have the shape {list(prepared.shape)}", "preprocessing")
        differences.append((prepared - expected).abs().flatten())
    difference = torch.cat(differences)
    largest, mean = difference.max().item(), difference.mean().item()
    return Parity(
        shape=shape,
        agreement=1.0,
        largest=largest,
        mean=mean,
        p99=largest,
        passed=largest <= SHADES and mean <= MEAN,
        part="preprocessing",
    )
