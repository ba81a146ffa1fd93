"""`compress evaluate`: score runs, models and ONNX files with the same metric."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.table import Table

from compress.cli.flags import Switch
from compress.errors import UsageError
from compress.runs.evaluate import evaluate_model
from compress.runs.evaluation import Score
from compress.runs.without_data import CONFIDENCE, agreement_without_data
from compress.settings import HeldOutSettings
from compress.training.compute import Compute
from compress.training.progress import output


def evaluate(
    model: Path,
    /,
    *,
    teacher: str | None = None,
    held_out: Annotated[HeldOutSettings | None, Parameter(name="*")] = None,
    details: Switch = False,
    confusion: Path | None = None,
    without_data: Switch = False,
    json: Switch = False,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
) -> None:
    """Score a run, a model or an ONNX file on held-out data.

    The same code computes the metrics of all of them. `--without-data` estimates the agreement with the teacher
    instead.

    Parameters
    ----------
    model
        Run, folder of compress, timm or SMP, weights file (with --teacher) or .onnx file.
    teacher
        Network by name (`compress list teachers`), for a weights file that does not name its network.
    details
        Also Dice, precision and recall by class, frequency-weighted IoU, boundary IoU, and mIoU without background.
    confusion
        Write the confusion matrix to this CSV file: a row per true class, a column per predicted class.
    without_data
        For a run: estimate how often the student predicts the same class as its teacher on new synthetic images, with a
        confidence interval. This is not an accuracy.
    json
        Print one JSON object on standard output.
    device
        Device to compute on: auto, cpu, cuda, or one card as in cuda:1. An ONNX file on CUDA uses onnxruntime's CUDA
        provider.
    precision
        Number format of convolutions. It does not apply to ONNX files.
    """
    compute = Compute.choose(device, precision)
    if without_data:
        if teacher or details or confusion or (held_out and held_out.model_dump(exclude_defaults=True)):
            raise UsageError("--without-data needs no data: leave out --teacher, --data and the flags of the data")
        _say_agreement(model, compute, json=json)
        return
    evaluation = evaluate_model(
        model, compute, teacher=teacher, held_out=held_out, details=details, confusion=confusion
    )
    if json:
        print(json_format.dumps(evaluation.report()))
    else:
        count = evaluation.score.count
        for table in _tables(evaluation.score, f"{model} on {count} held-out images of {evaluation.data}"):
            output.print(table)


def _say_agreement(run: Path, compute: Compute, *, json: bool) -> None:
    agreement, card = agreement_without_data(run, compute)
    numbers = {"agreement": agreement.share, "low": agreement.low, "high": agreement.high}
    if json:
        facts = {"schema_version": 1, "task": card.task, "data": None, "n": agreement.images}
        print(json_format.dumps({**facts, **numbers, "confidence": CONFIDENCE}))
        return
    output.print(
        f"agreement {agreement.share:.4f}, between {agreement.low:.4f} and {agreement.high:.4f} with {CONFIDENCE:.0%} "
        f"confidence, on {agreement.images} new synthetic images",
        soft_wrap=True,
    )
    output.print("the share of samples with the same predicted class; not an accuracy on real images")


def _tables(score: Score, title: str) -> list[Table]:
    """The numbers of the whole data set; those of single classes below them, or in a table of their own if many."""
    by_class = score.by_class
    table = Table(title=title)
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in score.numbers.items():
        if name not in by_class:
            table.add_row(name, f"{value:.4f}")
        elif len(by_class) == 1:
            for key, number in value.items():
                table.add_row(f"{name} {key}", f"{number:.4f}")
    if len(by_class) < 2:
        return [table]
    classes = Table(title="by class")
    classes.add_column("class")
    for name in by_class:
        classes.add_column(name, justify="right")
    for key in next(iter(by_class.values())):
        classes.add_row(key, *(f"{numbers[key]:.4f}" for numbers in by_class.values()))
    return [table, classes]
