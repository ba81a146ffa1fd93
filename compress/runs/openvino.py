"""The job of an export to OpenVINO: the verified ONNX file in OpenVINO's format, answered by its own runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from compress.data_settings import ModelSettings
from compress.errors import UsageError
from compress.export import OnnxScores, require_parity
from compress.export.openvino import OpenVinoModel, check_openvino, is_own_openvino, write_openvino
from compress.runs.evaluation import evaluate
from compress.runs.export import Exported, ExportOptions, evidence_of, export
from compress.runs.opening import is_own, open_model
from compress.storage.files import require_replaceable
from compress.tasks.models import deployable
from compress.training.compute import Compute


def export_openvino(
    model: Path,
    out: Path | None = None,
    options: ExportOptions | None = None,
    *,
    settings: ModelSettings | None = None,
    calibrate_on: Path | None = None,
    data_root: Path | None = None,
) -> Exported:
    """Write a model in OpenVINO's format and compare what OpenVINO answers with torch, as an ONNX file is compared.

    `out` ends in .xml, the weights lie beside it; None is RUN/export/model.xml, with the precision in its name. The
    files are made from an ONNX file that passed its own comparison, and are written though they differ: `require` of
    the result raises then. Raises `UsageError` for what `compress.runs.export.export` refuses, and without OpenVINO.
    """
    options = options or ExportOptions()
    if options.fixed_batch is not None:
        raise UsageError("`fixed_batch` is for ONNX files: leave it out")
    file = _target(model, out, options.precision)
    weights = file.with_suffix(".bin")
    require_replaceable(file, is_own_openvino, overwrite=options.overwrite)
    require_replaceable(weights, lambda _: is_own_openvino(file), overwrite=options.overwrite)
    with TemporaryDirectory() as folder:
        file_of_onnx = Path(folder) / "model.onnx"
        onnx = export(model, file_of_onnx, options, settings=settings, calibrate_on=calibrate_on, data_root=data_root)
        require_parity(onnx.parity)
        write_openvino(onnx.facts.path, file)
    network, card = open_model(model, settings)
    evidence = evidence_of(model, card, data_root, calibrate_on)
    images = evidence.images
    if images is None and evidence.calibration is not None:
        images = evidence.calibration.float() / 255
    written = OpenVinoModel(file)
    parity = check_openvino(deployable(network), written, images)
    scores, exact = onnx.scores, Compute(torch.device("cpu"), torch.float32)
    if scores is not None and evidence.held_out is not None and all(result.passed for result in parity):
        scores = scores[0], evaluate(OnnxScores(written), evidence.held_out, exact)
    return Exported(facts=replace(onnx.facts, path=file), parity=parity, scores=scores, most_lost=options.most_lost)


def _target(model: Path, out: Path | None, precision: str) -> Path:
    if out is None:
        if not model.is_dir() or not is_own(model):
            raise UsageError("name the file to write with `out`: the model is not in a run directory")
        return model / "export" / ("model.xml" if precision == "fp32" else f"model.{precision}.xml")
    if out.suffix != ".xml":
        raise UsageError(f"`out` {out} does not end in .xml, as OpenVINO's descriptions do; the weights go beside it")
    return out
