"""Proof that an ONNX file does what the torch module does, also at batches and sizes that were not traced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from compress.errors import GateError
from compress.task import Deployable, TaskSpec

from .runtime import OnnxModel

DECISIONS = 0.999
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Parity:
    """The comparison at one input shape."""

    shape: tuple[int, ...]
    agreement: float
    """Share of equal decisions."""
    difference: float
    """Largest absolute difference of the scores (probabilities or confidence), all in [0, 1]."""
    failure: str = ""
    """Why the file gave no comparable answer."""

    @property
    def passed(self) -> bool:
        """Whether decisions and scores agree as promised."""
        return not self.failure and self.agreement >= DECISIONS and self.difference <= TOLERANCE

    def __str__(self) -> str:
        size = "x".join(map(str, self.shape))
        found = self.failure or f"decisions {self.agreement:.2%}, largest difference {self.difference:.1e}"
        return f"{size}: {found}"


def shapes_to_check(spec: TaskSpec, *, dynamic_size: bool) -> list[tuple[int, ...]]:
    """The traced shape, batch 1, another batch and, where sizes are free, one that was not traced and is not square."""
    _, height, width = spec.image_shape
    shapes: list[tuple[int, ...]] = [(2, 3, height, width), (1, 3, height, width), (5, 3, height, width)]
    return [*shapes, (3, 3, height + 32, width + 64)] if dynamic_size else shapes


def check_parity(
    deployable: Deployable, model: OnnxModel, shapes: Sequence[tuple[int, ...]], images: Tensor | None = None
) -> list[Parity]:
    """Compare at each shape, on resized crops of `images [n, 3, h, w]` in [0, 1] where given and on noise otherwise."""
    return [_compare(deployable, model, _inputs(shape, images)) for shape in shapes]


def require_parity(results: Sequence[Parity]) -> None:
    """Raise `GateError` naming the shapes at which the file and the model differ."""
    failed = [str(result) for result in results if not result.passed]
    if failed:
        raise GateError(f"the ONNX file does not do what the model does at {'; '.join(failed)}")


def _inputs(shape: tuple[int, ...], images: Tensor | None) -> Tensor:
    if images is None:
        return torch.rand(shape, generator=torch.Generator().manual_seed(1))
    repeated = images[torch.arange(shape[0]) % len(images)]
    return torch.nn.functional.interpolate(repeated, size=shape[2:], mode="bilinear", align_corners=False)


@torch.no_grad()
def _compare(deployable: Deployable, model: OnnxModel, images: Tensor) -> Parity:
    names, shape = deployable.output_names, tuple(images.shape)
    try:
        expected = dict(zip(names, deployable(images), strict=True))
    except Exception as error:  # each network refuses in its own way
        return Parity(shape, 0.0, 1.0, f"torch refuses: {next(iter(str(error).splitlines()), '')[:120]}")
    try:
        actual = model.run(images)
    except Exception as error:  # onnxruntime's exceptions share no public base class
        return Parity(shape, 0.0, 1.0, f"onnxruntime fails: {next(iter(str(error).splitlines()), '')[:120]}")
    wrong = [name for name in names if actual[name].shape != expected[name].shape]
    if wrong:
        return Parity(shape, 0.0, 1.0, f"{wrong[0]} has shape {list(actual[wrong[0]].shape)}")
    agreement = (actual["classes"] == expected["classes"]).float().mean().item()
    scores = next(name for name in names if name != "classes")
    difference = (actual[scores] - expected[scores]).abs().max().item()
    return Parity(shape, agreement, float("inf") if math.isnan(difference) else difference)
