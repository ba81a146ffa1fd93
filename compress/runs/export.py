"""The job of an export: a model as a verified ONNX file, in any precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from compress.data_settings import ModelSettings
from compress.errors import UsageError
from compress.export import (
    LEAST_SAVED,
    ExportFacts,
    Form,
    OnnxModel,
    OnnxScores,
    Order,
    Parity,
    export_verified,
    find_precision,
    find_target,
    is_own_file,
    require_parity,
)
from compress.runs.calibration_images import calibration_images
from compress.runs.evaluation import Score, evaluate
from compress.runs.exported_model import Opened, opened
from compress.runs.gates import MOST_LOST, require_kept
from compress.runs.opening import is_own
from compress.runs.own_modules import OwnData, class_of, own_source, usable, without_stride
from compress.storage.files import require_replaceable
from compress.task import Deployable, HeldOut
from compress.tasks import make_task
from compress.tasks.data.collected import read_photographs
from compress.tasks.models import deployable, require_image_size
from compress.tasks.models.model_folder import own_weights
from compress.training.compute import CPU_FLOAT32


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The options of the file."""

    precision: str = "fp32"
    """A name in `compress.export.PRECISIONS`."""
    target: str = "cpu"
    """A name in `compress.export.TARGETS`: where the file is to run."""
    input: Literal["float", "uint8"] = "float"
    output: Literal["decision", "probabilities", "logits"] = "decision"
    fixed_size: bool = False
    fixed_batch: int | None = None
    """Images that the file takes at once; any number if None."""
    opset: int = 18
    most_lost: float = MOST_LOST
    """Largest loss of the metric against the model, as a fraction."""
    least_saved: float = LEAST_SAVED
    """Share of the bytes, or of the time, that another precision has to save; 0 accepts any file."""
    overwrite: bool = False
    """Replace a file that this package did not write; its own are replaced anyway."""

    def __post_init__(self) -> None:
        """Raises `UsageError` for options that no file can have, before images are synthesised for one."""
        self.order({})

    def order(self, origin: Mapping[str, Any]) -> Order:
        """As the exporter takes them, for a network that comes from there."""
        return Order(
            form=Form(self.input, self.output),
            precision=self.precision,
            opset=self.opset,
            dynamic_size=not self.fixed_size,
            origin=origin,
            target=self.target,
            fixed_batch=self.fixed_batch,
            least_saved=self.least_saved,
        )


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A file that was written and compared with its model."""

    facts: ExportFacts
    parity: list[Parity]
    scores: tuple[Score, Score] | None
    """Scores of model and file on held-out data; None if there is none."""
    most_lost: float

    def require(self) -> None:
        """Raise `GateError` unless the outputs agree and the metric holds; the file stays."""
        require_parity(self.parity)
        if self.scores is None:
            return
        advice = "choose another `precision`, calibrate on real images with `calibrate_on`, or raise `most_lost`"
        require_kept(*self.scores, self.most_lost, advice)


def export(
    model: Path,
    out: Path | None = None,
    options: ExportOptions | None = None,
    *,
    settings: ModelSettings | None = None,
    calibrate_on: Path | None = None,
    data_root: Path | None = None,
) -> Exported:
    """Write a model as one ONNX file, compare it with torch and, if held-out images are available, score both.

    `out` is RUN/export/model.onnx, with the precision in its name, if None. `settings` supply facts that the model does
    not contain, such as the network of a file of weights. Raises `UsageError` for a model that cannot be exported with
    these options; `Exported.require` raises `GateError` for a file that differs from the model.
    """
    options = options or ExportOptions()
    require_consistent(options, calibrate_on)
    file = _file_of(model, out, options)
    require_replaceable(file, is_own_file, overwrite=options.overwrite)
    return export_opened(opened(model, settings, calibrate_on, data_root), file, options)


def require_consistent(options: ExportOptions, calibrate_on: Path | None) -> None:
    """Raise `UsageError` for an unknown precision or target, and for calibration that the precision does not take."""
    find_target(options.target)
    if not find_precision(options.precision).calibrated and calibrate_on is not None:
        raise UsageError(f"`calibrate_on` is for `precision` int8, not for {options.precision}: leave it out")


def export_opened(model: Opened, file: Path, options: ExportOptions) -> Exported:
    """Write an opened model as one ONNX file, compare it, and score both where there is data."""
    evidence, card, exported = model.evidence, model.card, model.exported
    calibration = evidence.calibration
    if calibration is None and find_precision(options.precision).calibrated:
        calibration = calibration_images(model.network, card.spec)
    facts, results = export_verified(
        exported, card.spec, file, options.order(card.origin), images=evidence.images, calibration=calibration
    )
    passed = all(result.passed for result in results)
    scores = _scores(exported, facts, evidence.held_out) if evidence.held_out is not None and passed else None
    return Exported(facts=facts, parity=results, scores=scores, most_lost=options.most_lost)


def export_module(
    network: nn.Module,
    data: OwnData,
    out: Path,
    options: ExportOptions,
    calibration: Tensor | None = None,
    calibrate_on: Path | None = None,
) -> Exported:
    """Write a user's own module; label maps `[n, k, h, w]` make it a segmenter, logits `[n, k]` a classifier.

    INT8 is calibrated on `calibration`, uint8 `[n, 3, h, w]`, on the photographs in `calibrate_on`, or else on images
    that are synthesised for the module.
    """
    source = own_source("classification", data)
    with torch.no_grad():
        logits = require_image_size(network.cpu(), f"the model {class_of(network)}", source.image_shape)
    if len(logits) == 4:
        source = own_source("segmentation", data)
    network = without_stride(network) if source.task == "classification" else network
    require_replaceable(out, is_own_file, overwrite=options.overwrite)
    exported, spec = deployable(usable(network, "model", source), source.task), make_task(source).spec
    if calibration is None and calibrate_on is not None:
        calibration = read_photographs(calibrate_on, spec.image_shape, spec.framing)
    if calibration is None and find_precision(options.precision).calibrated:
        calibration = calibration_images(network, spec)
    facts, results = export_verified(exported, spec, out, options.order({}), calibration=calibration)
    return Exported(facts=facts, parity=results, scores=None, most_lost=options.most_lost)


def _file_of(model: Path, out: Path | None, options: ExportOptions) -> Path:
    require_no_onnx(model)
    if out is None:
        plain = {"precision": "fp32", "target": "cpu"}
        changed = [value for name, usual in plain.items() if (value := getattr(options, name)) != usual]
        return file_in_run(model, [*changed, "onnx"])
    if out.is_dir():
        raise UsageError(f"`out` {out} is a folder: name the file to write")
    weights = own_weights(model)
    if weights is not None and out.exists() and out.samefile(weights):
        raise UsageError(f"`out` {out} is the model itself: name another file")
    return out


def require_no_onnx(model: Path) -> None:
    """Raise `UsageError` for a model that is an exported file itself."""
    if model.suffix == ".onnx":
        raise UsageError(f"{model} is an ONNX file already: export the run or the weights from which it was exported")


def file_in_run(model: Path, endings: list[str]) -> Path:
    """The default file in a run's folder; raises `UsageError` for a model that is not in a run's folder."""
    if not model.is_dir() or not is_own(model):
        raise UsageError("name the file to write with `out`: the model is not in a run directory")
    return model / "export" / ".".join(["model", *endings])


def _scores(network: Deployable, facts: ExportFacts, held_out: HeldOut) -> tuple[Score, Score]:
    """The metric of model and file."""
    exact = CPU_FLOAT32
    return evaluate(network, held_out, exact), evaluate(OnnxScores(OnnxModel(facts.path)), held_out, exact)
