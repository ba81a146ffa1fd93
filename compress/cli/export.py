"""`compress export`: a model as a verified ONNX file, whole, in half precision or in INT8."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from compress.cli.outcome import print_parity
from compress.runs.export import MOST_LOST, ExportOptions
from compress.runs.export import export as run_export
from compress.training.progress import output as console


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
    options = ExportOptions(
        precision=precision, input=input, output=output, fixed_size=fixed_size, opset=opset, most_lost=most_lost
    )
    exported = run_export(model, out, options, calibrate_on=calibrate_on, data_root=data_root)
    if (int8 := exported.facts.int8) is not None:
        console.print(
            f"INT8 keeps {int8.decisions:.2%} of float32's decisions, near-ties apart, on images that it was not "
            f"calibrated on; layers left in float32: {', '.join(int8.kept_float) or 'none'}",
            soft_wrap=True,
        )
    print_parity(exported.facts, exported.parity)
    console.print(f"ONNX file      {exported.facts.path}", soft_wrap=True)
    if exported.scores is not None:
        model_score, file_score = exported.scores
        console.print(
            f"{model_score.metric} on {model_score.count} held-out images: model {model_score.headline:.4f}, "
            f"file {file_score.headline:.4f}"
        )
    exported.require()
