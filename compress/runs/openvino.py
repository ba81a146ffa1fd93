"""The job of an export to OpenVINO: the verified ONNX file in OpenVINO's format, answered by its own runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from compress.data_settings import ModelSettings
from compress.errors import UsageError
from compress.export import OnnxScores, require_parity
from compress.export.openvino import OpenVinoModel, check_openvino, is_own_openvino, write_openvino
from compress.runs.evaluation import evaluate
from compress.runs.export import (
    Exported,
    ExportOptions,
    export_opened,
    file_in_run,
    require_consistent,
    require_no_onnx,
)
from compress.runs.exported_model import opened
from compress.storage.files import require_replaceable
from compress.training.compute import CPU_FLOAT32


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
    require_consistent(options, calibrate_on)
    options = _for_openvino(options)
    file = _target(model, out, options.precision)
    weights = file.with_suffix(".bin")
    require_replaceable(file, is_own_openvino, overwrite=options.overwrite)
    require_replaceable(weights, lambda _: is_own_openvino(file), overwrite=options.overwrite)
    model_opened = opened(model, settings, calibrate_on, data_root)
    with TemporaryDirectory() as folder:
        onnx = export_opened(model_opened, Path(folder) / "model.onnx", options)
        require_parity(onnx.parity)
        write_openvino(onnx.facts.path, file)
    evidence = model_opened.evidence
    images = evidence.images
    if images is None and evidence.calibration is not None:
        images = evidence.calibration.float() / 255
    written = OpenVinoModel(file)
    parity = check_openvino(model_opened.exported, written, images)
    scores = onnx.scores
    if scores is not None and evidence.held_out is not None and all(result.passed for result in parity):
        scores = scores[0], evaluate(OnnxScores(written), evidence.held_out, CPU_FLOAT32)
    return Exported(facts=replace(onnx.facts, path=file), parity=parity, scores=scores, most_lost=options.most_lost)


def _for_openvino(options: ExportOptions) -> ExportOptions:
    """The options with OpenVINO as the target, which the format implies."""
    if options.target not in ("openvino", ExportOptions.target):
        raise UsageError(
            f"`target` {options.target} is for ONNX files: OpenVINO's format runs in OpenVINO, leave it out"
        )
    return replace(options, target="openvino")


def _target(model: Path, out: Path | None, precision: str) -> Path:
    require_no_onnx(model)
    if out is None:
        return file_in_run(model, ["xml"] if precision == "fp32" else [precision, "xml"])
    if out.suffix != ".xml":
        raise UsageError(f"`out` {out} does not end in .xml, as OpenVINO's descriptions do; the weights go beside it")
    return out
