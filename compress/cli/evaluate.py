"""`compress evaluate`: one metric for runs, models and ONNX files."""

from __future__ import annotations

import json as json_format
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import torch
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from torch import Tensor

from compress.compute import Compute
from compress.errors import UsageError
from compress.evaluation import Score, evaluate
from compress.export import OnnxModel
from compress.tasks import make_task
from compress.tasks.data import open_data
from compress.tasks.models.saved import load_model


def evaluate_model(
    model: Path,
    /,
    *,
    data: str | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "fp32",
) -> None:
    """Score a run directory, a model directory, a .safetensors or an .onnx file on held-out data.

    Parameters
    ----------
    model
        What to score.
    data
        Data set by name (`compress list data`); the embedded one of the model's task if not given.
    json
        Print one JSON object on standard output.
    device
        Where to run; an ONNX file on CUDA runs by onnxruntime's CUDA provider.
    precision
        Number format of convolutions; an ONNX file has its own.
    """
    compute = Compute.choose(device, precision)
    predict, task_name, class_names = _open(model, compute)
    source = open_data(data, task_name)
    if class_names != source.class_names:
        raise UsageError(
            f"{model} knows {len(class_names)} classes ({', '.join(class_names[:3])}, ...) and {source.name} has "
            f"{len(source.class_names)} ({', '.join(source.class_names[:3])}, ...): choose the --data it was made for"
        )
    task = make_task(source, torch.nn.Identity, torch.nn.Identity)
    score = evaluate(predict, task, compute)
    if json:
        facts = {"schema_version": 1, "task": task_name, "data": source.name, "n": score.count}
        print(json_format.dumps({**facts, **dict(score.numbers)}))
    else:
        Console(highlight=False).print(_table(score, f"{model} on {score.count} held-out images of {source.name}"))


def _open(path: Path, compute: Compute) -> tuple[Callable[[Tensor], Tensor], str, tuple[str, ...]]:
    if path.suffix == ".onnx":
        onnx = OnnxModel(path, cuda=compute.device.type == "cuda")
        return onnx, onnx.task, onnx.class_names
    model, card = load_model(path)
    compute.place(model)
    return model, card.task, card.class_names


def _table(score: Score, title: str) -> Table:
    table = Table(title=title)
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in score.numbers.items():
        rows = {f"{name} {key}": number for key, number in value.items()} if isinstance(value, dict) else {name: value}
        for label, number in rows.items():
            table.add_row(label, f"{number:.4f}")
    return table
