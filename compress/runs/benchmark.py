"""The job of a benchmark: time models in torch, compiled torch and onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress.data_settings import ModelSettings
from compress.errors import UsageError
from compress.export.latency import Latency, interleaved
from compress.runs.charts import throughput_lines
from compress.runs.timed_models import TimedModel, cold_start, timed_models_of
from compress.storage.files import write_text
from compress.storage.run_directory import environment
from compress.training.progress import Steps


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The timed models and the report of `--json`."""

    models: list[TimedModel]
    report: dict[str, Any]

    def write(self, folder: Path) -> list[Path]:
        """benchmark.json and benchmark.png in `folder`; returns their paths."""
        files = [folder / "benchmark.json", folder / "benchmark.png"]
        write_text(files[0], json.dumps(self.report, indent=1) + "\n")
        throughput_lines(files[1], self.report["rows"])
        return files


def benchmark(
    models: Sequence[Path],
    *,
    batches: Sequence[int] = (1, 16),
    size: tuple[int, int] | None = None,
    settings: ModelSettings | None = None,
    provider: str = "cpu",
    compiled: bool = False,
    seconds: float = 2.0,
) -> Benchmark:
    """Time models side by side in interleaved rounds; ratios are to the first.

    `size` is height and width, those of the first model if None; `settings` say what models do not, such as the network
    of a file of weights; `seconds` are spent on each model, batch and kind of
    measurement. Raises `UsageError` if there is nothing to time, or a model cannot be opened.
    """
    said = settings or ModelSettings()
    if size and said.image_size is None:
        said = said.model_copy(update={"image_size": min(size)})
    timed_models = [
        model for path in models for model in timed_models_of(path, provider, compiled=compiled, settings=said)
    ]
    if not timed_models:
        raise UsageError("no models to time: `compress benchmark MODEL...`")
    running = {model.name: model.start() for model in timed_models}
    own = running[timed_models[0].name].image_shape
    shape, rows = (3, *(size or own[1:])), list[dict[str, Any]]()
    with Steps("timing", 2 * len(batches)) as steps:
        for index, count in enumerate(batches):
            images = np.random.default_rng(0).random((count, *shape), dtype=np.float32)
            timed = {}
            for offset, way in enumerate(("whole", "inside")):
                answers = {name: getattr(model, way)(images) for name, model in running.items()}
                timed[way] = interleaved(answers, seconds)
                steps.update(2 * index + offset + 1)
            rows += [_row(model, count, timed, timed_models[0]) for model in timed_models]
    starts = {model.name: cold_start(model, shape) for model in timed_models}
    report = {"schema_version": 1, "size": shape[1:], "environment": environment(), "cold": starts, "rows": rows}
    return Benchmark(models=timed_models, report=report)


def _row(model: TimedModel, batch: int, timed: dict[str, dict[str, Latency]], first: TimedModel) -> dict[str, Any]:
    whole, inside = (timed[way][model.name] for way in ("whole", "inside"))
    milliseconds = {f"p{share}_ms": 1000 * whole.percentile(share) for share in (50, 90, 99)}
    return {
        "model": str(model.path),
        "runtime": model.kind,
        "batch": batch,
        **milliseconds,
        "compute_p50_ms": 1000 * inside.percentile(50),
        "images_per_second": batch / whole.percentile(50),
        "times_faster": whole.ratio(timed["whole"][first.name]),
    }
