"""The job of an evaluation: the same metric for runs, models and ONNX files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from compress.errors import UsageError
from compress.export import OnnxModel, OnnxScores, spec_of
from compress.runs.data import inspect, place_of, sums_report
from compress.runs.evaluation import Score, evaluate
from compress.runs.models import as_answered, network_of
from compress.runs.opening import is_own
from compress.runs.reading import open_for, require_classes, teacher_at
from compress.settings import HeldOutSettings
from compress.storage.files import write_text
from compress.tasks import held_out_of
from compress.tasks.data import SOURCES, DataSource, Place, open_settings
from compress.tasks.detailed_scores import InDetail, confusion_csv
from compress.tasks.models.binary import move_threshold
from compress.tasks.models.model_folder import load_model
from compress.training.compute import Compute


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The score of a model on a data set."""

    task: str
    data: str
    score: Score
    sums: dict[str, Any]
    """The md5 sums of the data set's files, if it publishes sums."""

    def report(self) -> dict[str, Any]:
        """The one object of `--json`: task, data, `n` and the metric's numbers, fractions."""
        facts = {"schema_version": 1, "task": self.task, "data": self.data, "n": self.score.count}
        return {**facts, **dict(self.score.numbers), **self.sums}


def evaluate_model(
    model: Path,
    compute: Compute,
    *,
    teacher: str | None = None,
    held_out: HeldOutSettings | None = None,
    details: bool = False,
    confusion: Path | None = None,
) -> Evaluation:
    """Score a run, a folder of this package, of timm or of SMP, a file of weights or an .onnx file on held-out data.

    `teacher` names the network of a file of weights that does not say what network it is. `held_out` is the data; if
    None, it is the data that the model was made for. With `details` segmenters get all scores of
    `compress.tasks.detailed_scores`. The counts by true and predicted class are written to the file `confusion` as CSV.
    Raises `UsageError` for a model that cannot be opened, for data whose classes are not the model's, and if the file
    `confusion` exists.
    """
    settings = held_out or HeldOutSettings()
    if confusion is not None and confusion.exists():
        raise UsageError(f"{confusion} is there: choose another file for `confusion`")
    if teacher is None and (model.suffix == ".onnx" or is_own(model)):
        predict, source = _open_own(model, settings, compute)
    else:
        listing = SOURCES.find(settings.data) if settings.data else None
        own_teacher = teacher_at(model, teacher, settings, listing.task if listing else None)
        source = as_answered(open_for(own_teacher, settings, own_teacher.task), own_teacher)
        network = network_of(own_teacher, source, seed=0)
        compute.place(network)
        predict = network
    inspect(source)
    if details and source.task != "segmentation":
        raise UsageError(f"`details` are scores of label maps, and {source.name} is for {source.task}: leave it out")
    scored_on = held_out_of(source)
    score = evaluate(predict, InDetail(scored_on) if details else scored_on, compute)
    if confusion is not None and score.confusion is not None:
        write_text(confusion, confusion_csv(score.confusion, scored_on.spec))
    return Evaluation(task=source.task, data=source.name, score=score, sums=sums_report(source.held_out()))


def _open_own(path: Path, settings: HeldOutSettings, compute: Compute) -> tuple[Callable[[Tensor], Tensor], DataSource]:
    """What this package wrote, and the data set to score it on; raises `UsageError` if their classes differ."""
    predict: Callable[[Tensor], Tensor]
    if path.suffix == ".onnx":
        if settings.threshold is not None:
            raise UsageError(f"{path} decides by the threshold that it was exported with: leave out `threshold`")
        onnx = OnnxModel(path, provider=compute.device.type)
        predict, facts = OnnxScores(onnx), spec_of(onnx)
        task, names, usual = facts.name, facts.class_names, Place(image_size=facts.image_size, framing=facts.framing)
    else:
        model, card = load_model(path)
        if settings.threshold is not None:
            move_threshold(model, settings.threshold)
        predict = model
        compute.place(model)
        settings = settings.model_copy(update={"data": settings.data or card.data})
        task, names = card.task, card.class_names
        usual = place_of(card)
    usual = replace(usual, follow_links=settings.follow_links)
    return predict, require_classes(open_settings(settings, task, usual=usual), names, str(path))
