"""`compress export`: a model as a verified ONNX file, whole, in half precision or in INT8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from cyclopts import Parameter
from cyclopts.validators import Number
from torch import Tensor

from compress.errors import GateError, UsageError
from compress.export import ExportFacts, Form, OnnxModel, OnnxScores, Order, export_verified
from compress.runs.data import place_of
from compress.runs.evaluation import evaluate
from compress.runs.handover import report_export
from compress.storage.run_directory import RunDirectory
from compress.task import Deployable, Task
from compress.tasks import make_task
from compress.tasks.data import SOURCES, open_data
from compress.tasks.data.collected import read_photographs
from compress.tasks.models import deployable
from compress.tasks.models.saved import Card, load_model
from compress.training.compute import Compute
from compress.training.progress import output as console

SYNTHETIC = 512
"""Samples of a run at most that a file is compared and calibrated on."""
MOST_LOST = 0.01


@dataclass(frozen=True)
class Evidence:
    """What a file is held against."""

    task: Task | None
    """With held-out data; None where none is at hand."""
    images: Tensor | None
    """`[n, 3, h, w]` in [0, 1] for the comparison of outputs: held-out images, or else synthetic ones."""
    calibration: Tensor | None
    """uint8 `[n, 3, h, w]`, for INT8."""


def export(
    model: Path,
    /,
    *,
    out: Path | None = None,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    input: Literal["float", "uint8"] = "float",
    output: Literal["decision", "probabilities", "logits"] = "decision",
    fixed_size: Annotated[bool, Parameter(negative=())] = False,
    opset: int = 18,
    calibrate_on: Path | None = None,
    data_root: Path | None = None,
    most_lost: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = MOST_LOST,
) -> None:
    """Write a model as one ONNX file and prove in onnxruntime that it does what the model does; exit code 3 if not.

    The file is compared with torch at five shapes and, where held-out images are at hand, scored by the same metric.

    compress export runs/digit-scenes-ssd-kd-1 --precision int8

    Parameters
    ----------
    model
        Run directory, model directory or .safetensors file.
    out
        The file to write; RUN/export/model.onnx if not given, with the precision in its name if that is not fp32.
    precision
        Number format of the network's arithmetic. fp16 takes and gives float32; int8 is calibrated on a run's synthetic
        samples, and layers that suffer stay in float32.
    input
        float: images, float32 [n, 3, h, w] in [0, 1]. uint8: pixels, [n, h, w, 3] of any size, resized inside.
    output
        decision: classes and scores (a classifier's five best, a segmenter's class map). Or all probabilities or
        logits.
    fixed_size
        Fix height and width to the training size even where the network takes others.
    opset
        Version of ONNX's operators, 18 or more.
    calibrate_on
        Folder of real photographs for int8 in place of the run's samples.
    data_root
        Where the held-out images are, for data on your disk; without it no metric is compared.
    most_lost
        Of the metric, a fraction, that the file may lose against the model before exit code 3.
    """
    network, card = load_model(model)
    file = _target(model, out, precision)
    evidence = _evidence(model, card, data_root, calibrate_on, precision)
    order = Order(Form(input, output), precision, opset, not fixed_size, card.origin)
    exported = deployable(network)
    facts, results = export_verified(
        exported, card.spec, file, order, images=evidence.images, calibration=evidence.calibration
    )
    if facts.int8 is not None:
        kept = ", ".join(facts.int8.kept_float) or "none"
        console.print(
            f"INT8 keeps {facts.int8.decisions:.2%} of float32's decisions, near-ties apart, on images that it was not "
            f"calibrated on; layers left in float32: {kept}",
            soft_wrap=True,
        )
    report_export(facts, results)
    if evidence.task is not None:
        _compare_metric(exported, facts, evidence.task, most_lost)


def _target(model: Path, out: Path | None, precision: str) -> Path:
    if out is None:
        if not model.is_dir():
            raise UsageError("name the file to write with --out: the model is not in a run directory")
        return model / "export" / ("model.onnx" if precision == "fp32" else f"model.{precision}.onnx")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder: name the file to write")
    return out


def _evidence(model: Path, card: Card, root: Path | None, photographs: Path | None, precision: str) -> Evidence:
    samples = _synthetic_samples(model)
    if photographs is not None and precision != "int8":
        raise UsageError("--calibrate-on is for --precision int8: leave it out")
    calibration = read_photographs(photographs, card.image_shape) if photographs is not None else samples
    listing = SOURCES.find(card.data)
    if listing is None or (listing.on_disk and root is None):
        return Evidence(None, None if samples is None else samples[:SYNTHETIC].float() / 255, calibration)
    source = open_data(card.data, card.task, root, usual=place_of(card))
    task = make_task(source, torch.nn.Identity, torch.nn.Identity)
    return Evidence(task, next(task.held_out()).images, calibration)


def _synthetic_samples(run: Path) -> Tensor | None:
    """uint8 `[n, 3, h, w]` from what a run still holds, spread over its length; None if it is no run."""
    if not (run / "config.yaml").is_file() or not RunDirectory(run).checkpoint.is_file():
        return None
    buffer = RunDirectory(run).read_checkpoint().get("buffer")
    images = buffer.get("images") if isinstance(buffer, dict) else None
    if not isinstance(images, Tensor) or images.dtype != torch.uint8 or images.ndim != 4 or not len(images):
        return None
    chosen = torch.linspace(0, len(images) - 1, min(SYNTHETIC, len(images))).round().long()
    return images[chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))]]


def _compare_metric(network: Deployable, facts: ExportFacts, task: Task, most_lost: float) -> None:
    """Print the metric of both; raises `GateError` if the file loses more than it may."""
    exact = Compute(torch.device("cpu"), torch.float32)
    model, file = evaluate(network, task, exact), evaluate(OnnxScores(OnnxModel(facts.path)), task, exact)
    console.print(
        f"{model.metric} on {model.count} held-out images: model {model.headline:.4f}, file {file.headline:.4f}"
    )
    if model.headline - file.headline > most_lost:
        raise GateError(
            f"the file loses {model.headline - file.headline:.4f} of {model.metric}, {most_lost} are allowed: "
            "choose another --precision, calibrate on real images with --calibrate-on, or raise --most-lost"
        )
