"""Export and proof in one step."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from compress.task import Deployable, TaskSpec

from .parity import Parity, check_parity, shapes_to_check
from .runtime import OnnxModel
from .writer import ExportFacts, write_onnx


def export_verified(
    deployable: Deployable, spec: TaskSpec, path: Path, images: Tensor | None = None, *, dynamic_size: bool = True
) -> tuple[ExportFacts, list[Parity]]:
    """Write the ONNX file and compare it with the module on `images [n, 3, h, w]` in [0, 1], or on noise.

    Height and width are free if the network takes other sizes and the file answers them rightly; some networks export
    without a word and are wrong at every size but the traced one, so only running the file can tell.
    """
    facts = write_onnx(deployable, spec, path, dynamic_size=dynamic_size)
    results = check_parity(deployable, OnnxModel(path), shapes_to_check(spec, dynamic_size=facts.dynamic_size), images)
    if facts.dynamic_size and not results[-1].passed:
        facts = write_onnx(deployable, spec, path, dynamic_size=False, reason=f"at {results[-1]}")
        results = check_parity(deployable, OnnxModel(path), shapes_to_check(spec, dynamic_size=False), images)
    return facts, results
