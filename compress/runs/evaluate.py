"""The job of an evaluation: one metric for runs, models and ONNX files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from compress.errors import UsageError
from compress.export import OnnxModel, OnnxScores, spec_of
from compress.runs.data import inspect, place_of, sums_report
from compress.runs.evaluation import Score, evaluate
from compress.runs.models import fit_teacher
from compress.tasks import make_task
from compress.tasks.data import SOURCES, DataSource, Place, open_data
from compress.tasks.models.saved import load_model
from compress.training.compute import Compute


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model scored on a data set."""

    task: str
    data: str
    score: Score
    sums: dict[str, Any]
    """Whether the data set's files are the published ones, where it publishes sums."""

    def report(self) -> dict[str, Any]:
        """The one object of `--json`: task, data, `n` and the metric's numbers, fractions."""
        facts = {"schema_version": 1, "task": self.task, "data": self.data, "n": self.score.count}
        return {**facts, **dict(self.score.numbers), **self.sums}


def evaluate_model(
    model: Path,
    compute: Compute,
    *,
    teacher: str | None = None,
    data: str | None = None,
    data_root: Path | None = None,
    image_size: int | None = None,
) -> Evaluation:
    """Score a run directory, a model directory, a .safetensors or an .onnx file on held-out data.

    `teacher` names the network of a file of weights that does not say what network it is. Raises `UsageError` for what
    cannot be opened, and for data with other classes than the model's.
    """
    if teacher is None:
        predict, source = _open_own(model, data, data_root, image_size, compute)
    else:
        listing = SOURCES.find(data) if data else None
        source = open_data(data, listing.task if listing else "classification", data_root, image_size)
        network = fit_teacher(teacher, model, source, seed=0)
        compute.place(network)
        predict = network
    inspect(source)
    score = evaluate(predict, make_task(source, torch.nn.Identity, torch.nn.Identity), compute)
    return Evaluation(task=source.task, data=source.name, score=score, sums=sums_report(source.held_out()))


def _open_own(
    path: Path, data: str | None, root: Path | None, size: int | None, compute: Compute
) -> tuple[Callable[[Tensor], Tensor], DataSource]:
    """What this package wrote, and the data set to score it on; raises `UsageError` if their classes differ."""
    predict: Callable[[Tensor], Tensor]
    if path.suffix == ".onnx":
        onnx = OnnxModel(path, provider=compute.device.type)
        predict, facts = OnnxScores(onnx), spec_of(onnx)
        task, names, usual = facts.name, facts.class_names, Place(image_size=facts.image_size, framing=facts.framing)
    else:
        model, card = load_model(path)
        predict = model
        compute.place(model)
        data, task, names = data or card.data, card.task, card.class_names
        usual = place_of(card)
    source = open_data(data, task, root, size, usual=usual)
    if names != source.class_names:
        raise UsageError(
            f"{path} knows {len(names)} classes ({', '.join(names[:3])}, ...) and {source.name} has "
            f"{len(source.class_names)} ({', '.join(source.class_names[:3])}, ...): choose the `data` it was made for"
        )
    return predict, source
