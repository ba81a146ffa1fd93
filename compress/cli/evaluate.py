"""`compress evaluate`: one metric for runs, models and ONNX files."""

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
    without_data: Switch = False,
    json: Switch = False,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
) -> None:
    """Score a run, a model or an ONNX file on held-out data.

    The same code computes the metrics of all of them. `--without-data` estimates the agreement with the teacher
    instead.

    Parameters
    ----------
    model
        Run directory, model directory, .safetensors or .onnx file.
    teacher
        Network by name (`compress list teachers`), for a weights file that does not name its network.
    without_data
        For a run: estimate how often the student predicts the same class as its teacher on new synthetic images, with a
        confidence interval. This is not an accuracy.
    json
        Print one JSON object on standard output.
    device
        Device to compute on. An ONNX file on CUDA uses onnxruntime's CUDA provider.
    precision
        Number format of convolutions. It does not apply to ONNX files.
    """
    compute = Compute.choose(device, precision)
    if without_data:
        if teacher or (held_out and held_out.model_dump(exclude_defaults=True)):
            raise UsageError("--without-data looks at a run alone: leave out --teacher, --data and what goes with them")
        _say_agreement(model, compute, json=json)
        return
    evaluation = evaluate_model(model, compute, teacher=teacher, held_out=held_out)
    if json:
        print(json_format.dumps(evaluation.report()))
    else:
        count = evaluation.score.count
        output.print(_table(evaluation.score, f"{model} on {count} held-out images of {evaluation.data}"))


def _say_agreement(run: Path, compute: Compute, *, json: bool) -> None:
    found, card = agreement_without_data(run, compute)
    numbers = {"agreement": found.share, "low": found.low, "high": found.high}
    if json:
        facts = {"schema_version": 1, "task": card.task, "data": None, "n": found.images}
        print(json_format.dumps({**facts, **numbers, "confidence": CONFIDENCE}))
        return
    output.print(
        f"agreement {found.share:.4f}, between {found.low:.4f} and {found.high:.4f} with {CONFIDENCE:.0%} confidence, "
        f"on {found.images} new synthetic images",
        soft_wrap=True,
    )
    output.print("how often student and teacher see the same class; no accuracy, and no promise for real images")


def _table(score: Score, title: str) -> Table:
    table = Table(title=title)
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in score.numbers.items():
        rows = {f"{name} {key}": number for key, number in value.items()} if isinstance(value, dict) else {name: value}
        for label, number in rows.items():
            table.add_row(label, f"{number:.4f}")
    return table
