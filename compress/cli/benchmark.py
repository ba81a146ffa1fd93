"""`compress benchmark`: time models in torch, compiled torch and onnxruntime."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.table import Table

from compress.cli.flags import Switch
from compress.data_settings import ModelSettings
from compress.errors import UsageError
from compress.runs.benchmark import benchmark as run_benchmark
from compress.runs.timed_models import TimedModel
from compress.training.progress import console, output

Side = Annotated[int, Parameter(validator=Number(gte=1, lte=4096))]


def benchmark(
    *models: Path,
    batch: list[Annotated[int, Parameter(validator=Number(gte=1, lte=4096))]] | None = None,
    size: tuple[Side, Side] | None = None,
    settings: Annotated[ModelSettings | None, Parameter(name="*")] = None,
    provider: Literal["cpu", "cuda", "tensorrt"] = "cpu",
    compiled: Switch = False,
    seconds: Annotated[float, Parameter(validator=Number(gt=0, lte=600))] = 2.0,
    out: Path | None = None,
    json: Switch = False,
) -> None:
    """Compare the speed of models and ONNX files.

    All are timed in interleaved rounds. Ratios are relative to the first.

    Parameters
    ----------
    models
        Runs (the student in torch and all files in RUN/export), folders of compress, timm or SMP, weights files (with
        --teacher) or .onnx files.
    batch
        Batch size; repeat the flag for several. The default is 1 and 16.
    size
        Height and width of the images. The default is the input size of the first model.
    provider
        Provider of onnxruntime. torch uses the GPU unless this is cpu.
    compiled
        Also time torch.compile. It takes up to a minute a model and needs a C++ compiler.
    seconds
        Time to spend on each combination of model, batch and kind of measurement.
    out
        Folder for benchmark.json and benchmark.png.
    json
        Print one JSON object on standard output.
    """
    if out is not None and out.is_file():
        raise UsageError(f"`out` {out} is a file: name a folder")
    timed = run_benchmark(
        models,
        batches=sorted(set(batch or [1, 16])),
        size=size,
        settings=settings,
        provider=provider,
        compiled=compiled,
        seconds=seconds,
    )
    if out is not None:
        console.print(f"written  {', '.join(map(str, timed.write(out)))}", soft_wrap=True)
    if json:
        print(json_format.dumps(timed.report))
    else:
        output.print(_starts(timed.models, timed.report["cold"]), _timings(timed.models, timed.report["rows"]))


def _timings(models: list[TimedModel], rows: list[dict[str, Any]]) -> Table:
    table = Table()
    for column in ("", "batch", "p50 ms", "p90", "p99", "network alone", "images/s", "faster"):
        table.add_column(column, justify="right")
    places = {model.name: index for index, model in enumerate(models)}
    for row in rows:
        numbers = [f"{row[key]:.2f}" for key in ("p50_ms", "p90_ms", "p99_ms", "compute_p50_ms")]
        speed = [f"{row['images_per_second']:.0f}", f"{row['times_faster']:.2f}x"]
        table.add_row(str(1 + places[f"{row['model']} {row['runtime']}"]), str(row["batch"]), *numbers, *speed)
    return table


def _starts(models: list[TimedModel], starts: dict[str, dict[str, float]]) -> Table:
    table = Table()
    for column in ("", "model", "runtime", "first answer", "memory"):
        table.add_column(column, justify="left" if column in ("model", "runtime") else "right", overflow="fold")
    for index, model in enumerate(models):
        cold = starts[model.name]
        place = str(1 + index), str(model.path), model.kind
        table.add_row(*place, f"{cold['seconds']:.1f} s", f"{cold['memory_mb']:.0f} MB")
    return table
