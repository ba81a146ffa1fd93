"""Proof that an ONNX file does what the torch module does, also at batches and sizes that were not traced."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from compress.errors import GateError, first_line
from compress.task import Deployable, TaskSpec

from .runtime import GUESSES, OnnxModel
from .scoring import answers
from .shown import shown
from .tolerance import TOLERANCES

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Parity:
    """The comparison at one input shape."""

    shape: Shape
    agreement: float
    """Share of equal decisions."""
    largest: float
    """Absolute difference of the scores, as are `mean` and `p99`."""
    mean: float
    p99: float
    passed: bool
    rounding: float = 0.0
    """How far torch itself is from float64, as a share of the largest probability; 0 where that was not asked."""
    failure: str = ""
    """Why the file gave no comparable answer."""

    def __str__(self) -> str:
        size = "x".join(map(str, self.shape))
        numbers = f"decisions {self.agreement:.2%}, difference {self.largest:.1e} (p99 {self.p99:.1e})"
        own = f", torch itself rounds by {self.rounding:.1e}" if self.rounding else ""
        return f"{size}: {self.failure or numbers + own}"


def shapes_to_check(spec: TaskSpec, *, dynamic_size: bool) -> list[Shape]:
    """The traced shape, batch 1, another batch and, where sizes are free, one that was not traced and an odd one."""
    _, height, width = spec.image_shape
    shapes = [(2, 3, height, width), (1, 3, height, width), (5, 3, height, width)]
    return [*shapes, (3, 3, height + 32, width + 64), (2, 3, height + 5, width + 11)] if dynamic_size else shapes


def check_parity(
    network: Deployable, model: OnnxModel, shapes: Sequence[Shape], images: Tensor | None = None
) -> list[Parity]:
    """Compare at each shape, on resized `images [n, 3, h, w]` in [0, 1] where given and on noise otherwise.

    Where they differ by more than a right file should, the network is run in float64: one whose logits are in the
    thousands rounds its own answers as much, and what its file may differ by is that much more.
    """
    inputs = [_inputs(shape, images) for shape in shapes]
    results = [_compare(network, model, shown) for shown in inputs]
    if all(result.passed or result.failure for result in results):
        return results
    rounding = _rounding(network, model, inputs)
    pairs = zip(results, inputs, strict=True)
    return [result if result.passed else _compare(network, model, shown, rounding) for result, shown in pairs]


def require_parity(results: Sequence[Parity]) -> None:
    """Raise `GateError` naming the shapes at which the file and the model differ."""
    failed = [str(result) for result in results if not result.passed]
    if failed:
        raise GateError(f"the ONNX file does not do what the model does at {'; '.join(failed)}")


def _inputs(shape: Shape, images: Tensor | None) -> Tensor:
    """Of 256 shades, so that they are the same as bytes."""
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    chosen = noise if images is None else F.interpolate(_repeated(images, shape[0]), size=shape[2:], mode="bilinear")
    return chosen.mul(255).round() / 255


def _repeated(images: Tensor, count: int) -> Tensor:
    return images[torch.arange(count) % len(images)]


@torch.no_grad()
def _compare(network: Deployable, model: OnnxModel, images: Tensor, rounding: float = 0.0) -> Parity:
    count, channels, height, width = images.shape
    shape = (count, channels, height, width)
    try:
        logits = _logits(network, model, images)
    except Exception as error:  # each network refuses in its own way
        return _failed(shape, f"torch refuses: {first_line(error, 120)}")
    try:
        actual = answers(model, images)
    except Exception as error:  # onnxruntime's exceptions share no public base class
        return _failed(shape, f"onnxruntime fails: {first_line(error, 120)}")
    expected = _answers(logits, model.card.output)
    wrong = [name for name in expected if actual[name].shape != expected[name].shape]
    if wrong:
        return _failed(shape, f"{wrong[0]} has shape {list(actual[wrong[0]].shape)}")
    scores = next(name for name in expected if name != "classes")
    decisions, scale = _decided(actual, scores).long(), max(expected[scores].abs().max().item(), 1e-12)
    difference = (actual[scores] - expected[scores]).abs().flatten().double()
    allowed = TOLERANCES[model.card.precision].widened(rounding)
    return Parity(
        shape,
        agreement=(decisions == logits.argmax(dim=1)).float().mean().item(),
        largest=difference.max().item(),
        mean=difference.mean().item(),
        p99=difference.kthvalue(max(math.ceil(0.99 * len(difference)), 1)).values.item(),
        passed=allowed.met(logits, decisions, difference.max().item() / scale),
        rounding=rounding,
    )


@torch.no_grad()
def _rounding(network: Deployable, model: OnnxModel, inputs: Sequence[Tensor]) -> float:
    """By how much the network's probabilities differ from those in float64, at most; 0 if it cannot be run in it."""
    largest = 0.0
    try:
        precise = copy.deepcopy(network).double()
        for images in inputs:
            rounded = _logits(network, model, images).softmax(dim=1)
            exact = _logits(precise, model, images.double()).softmax(dim=1)
            largest = max(largest, ((rounded - exact).abs().max() / exact.max()).item())
    except Exception:  # code of its own that makes float32 of something, or a size that it refuses
        return 0.0
    return largest


def _decided(outputs: Mapping[str, Tensor], scores: str) -> Tensor:
    """The best class of each position."""
    if "classes" not in outputs:
        return outputs[scores].argmax(dim=1)
    classes = outputs["classes"]
    return classes[:, 0] if classes.ndim == 2 else classes


def _failed(shape: Shape, why: str) -> Parity:
    return Parity(shape, 0.0, math.inf, math.inf, math.inf, passed=False, failure=why)


def _logits(network: Deployable, model: OnnxModel, images: Tensor) -> Tensor:
    """What torch alone makes of the images, at their own size."""
    size = images.shape[-2:]
    logits: Tensor = network(shown(images, model.card) if model.card.input == "uint8" else images)
    moved = logits.ndim == 4 and logits.shape[-2:] != size
    return F.interpolate(logits, size=size, mode="bilinear") if moved else logits


def _answers(logits: Tensor, output: str) -> dict[str, Tensor]:
    """The outputs that the file should have."""
    if output == "logits":
        return {"logits": logits}
    probabilities = logits.softmax(dim=1)
    if output == "probabilities":
        return {"probabilities": probabilities}
    if logits.ndim == 2:
        best = probabilities.topk(min(GUESSES, logits.shape[1]))
        return {"classes": best.indices, "scores": best.values}
    scores, classes = probabilities.max(dim=1)
    return {"classes": classes, "scores": scores}
