"""The end of a run: save, score, export and verify the student, and write the report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from compress.errors import GateError
from compress.export import ExportFacts, OnnxModel, OnnxScores, Order, Parity, export_verified, require_parity
from compress.methods import MethodContext
from compress.report import write_page
from compress.runs.charts import class_bars
from compress.runs.data import sums_report
from compress.runs.evaluation import Score, evaluate, multiply_accumulates, parameter_count
from compress.runs.exported_files import file_facts, latencies
from compress.runs.gates import MOST_LOST, comparison_images, require_kept, worthless
from compress.runs.held_out_examples import mistakes, show_held_out
from compress.runs.unlabelled import NO_ACCURACY, TeacherLabels
from compress.settings import DistillSettings
from compress.storage.run_directory import RunDirectory
from compress.task import HeldOut, TaskSpec
from compress.tasks.data import DataSource
from compress.tasks.models import NormalisedModel, deployable, fingerprint
from compress.tasks.models.binary import threshold_of
from compress.tasks.models.model_folder import Card, save_model
from compress.tasks.models.teacher_folders import place_label
from compress.training.compute import CPU_FLOAT32


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run after its last round."""

    context: MethodContext
    held_out: HeldOut
    """What the networks are scored on: the run's own data, or `TeacherLabels` where there is none."""
    run: RunDirectory
    teacher_score: Score
    seconds: Mapping[str, float]
    began_with: str | None
    """SHA-256 of the student's initial weights; None if they were random."""
    synthetic: Tensor | None = None
    """Samples that the run still holds, uint8 `[n, 3, h, w]`, one of every class in turn."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a run, with all its files written."""

    run: RunDirectory
    report: dict[str, Any]
    """The content of report.json."""
    metric: str
    """Name of the headline number in the report's rows."""
    facts: ExportFacts
    parity: list[Parity]
    """The comparisons of the ONNX file with torch."""
    scores: tuple[Score, Score]
    """Of the student and of its file: of held-out data, or of the agreement with the teacher."""

    @property
    def worthless(self) -> str:
        """What to say of a student that is no better than an answer that ignores the image; empty for a better one."""
        return worthless(self.scores[0])

    def require(self, *, accept_any_student: bool = False) -> None:
        """Raise `GateError` unless the file does what the student does and that is of use; all files stay.

        With `accept_any_student` a student may be no better than an answer that ignores the image.
        """
        require_parity(self.parity)
        require_kept(*self.scores, MOST_LOST, "do not use it")
        if self.worthless and not accept_any_student:
            raise GateError(f"{self.worthless}; train longer, look at the report, or pass `accept_any_student`")


def hand_over(done: Finished, source: DataSource, card: Card | None) -> Outcome:
    """Write student, ONNX file, report.json and report.html.

    Without a `card`, for a network without a name, the student's folder holds its weights and no config.json.
    """
    run, held_out, settings, student = done.run, done.held_out, done.context.settings, done.context.student
    student_score = evaluate(student.eval(), held_out, done.context.compute.exact)
    labelled = not isinstance(held_out, TeacherLabels)
    what = f"held-out images of {source.name}"
    if isinstance(held_out, TeacherLabels):
        what = f"{held_out.what}, {NO_ACCURACY}"
    scored_on = f"{student_score.count} {what}"
    readme = model_card(settings, done.teacher_score, student_score, scored_on, student, card, done.began_with)
    origin = _origin(done, student_score, scored_on)
    save_model(run.student, student, card and replace(card, origin=origin), readme)
    exhibits = _exhibits(done, source, student_score) if labelled else {}
    order, images = Order(origin=origin), comparison_images(source, done.synthetic)
    facts, results = export_verified(
        deployable(student.cpu(), held_out.spec.name), held_out.spec, run.onnx, order, images=images
    )
    file_score = evaluate(OnnxScores(OnnxModel(run.onnx)), held_out, CPU_FLOAT32)
    rows, exported, scoring = _networks(done, student_score, file_score)
    report: dict[str, Any] = {
        "schema_version": 1,
        "task": held_out.spec.name,
        "data": source.name if labelled else None,
        "embedded": source.fingerprint is not None,
        "n": student_score.count,
        **sums_report(source.held_out()),
        "scored_on": scored_on,
        "kept": student_score.headline / done.teacher_score.headline if labelled else None,
        "chance": student_score.chance,
        "worthless": worthless(student_score),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": {**done.seconds, "evaluation": scoring},
        **rows,
        **_parity(facts, results),
        "exported": exported,
        "latency": latencies(
            {"teacher": done.context.teacher, "student": student}, run.onnx, held_out.spec.image_shape
        ),
        "classes": held_out.spec.class_names,
        **exhibits,
    }
    run.write_report(report)
    _draw_classes(report, done, student_score)
    write_page(run)
    return Outcome(
        run=run,
        report=report,
        metric=student_score.metric,
        facts=facts,
        parity=results,
        scores=(student_score, file_score),
    )


def _networks(done: Finished, student: Score, onnx: Score) -> tuple[dict[str, dict[str, Any]], dict[str, Any], float]:
    """The rows of the table, the facts of the exported file, and the seconds spent on all scores."""
    run, spec, settings, file = done.run, done.held_out.spec, done.context.settings, OnnxModel(done.run.onnx)
    weights, name = run.student / "model.safetensors", run.onnx.name
    rows = {
        "teacher": _row(_teacher_name(settings), done.context.teacher, done.teacher_score, spec, None),
        "student": _row(settings.student, done.context.student, student, spec, weights),
        "onnx": {"name": name, **dict(onnx.numbers), "bytes": run.onnx.stat().st_size},
    }
    scoring = sum(score.seconds for score in (done.teacher_score, student, onnx))
    return rows, {name: file_facts(file, run.onnx, onnx)}, scoring


def _exhibits(done: Finished, source: DataSource, student: Score) -> dict[str, Any]:
    """The report's view of held-out images."""
    held_out, context = done.held_out, done.context
    networks = (context.teacher, context.student)
    return {
        "palette": [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in held_out.spec.palette],
        "confusion": mistakes(student.confusion, held_out.spec.class_names),
        "shown": show_held_out(done.run.path / "held-out", source.held_out(), held_out, networks, context.compute),
    }


def _draw_classes(report: Mapping[str, Any], done: Finished, student: Score) -> None:
    """Bar charts by class."""
    scored_on = report["scored_on"]
    for name, by_class in student.by_class.items():
        both = {"teacher": done.teacher_score.by_class[name], "student": by_class}
        class_bars(done.run.path / f"{name}.png", f"{name} on {scored_on}", both)


def _origin(done: Finished, student: Score, scored_on: str) -> dict[str, Any]:
    """The origin in the metadata of student and file."""
    settings, threshold = done.context.settings, threshold_of(done.context.student)
    return {
        "method": settings.method,
        "teacher": _teacher_name(settings),
        "teacher_sha256": fingerprint(done.context.teacher),
        **({"began_with_sha256": done.began_with} if done.began_with else {}),
        "config_sha256": sha256((done.run.path / "config.yaml").read_bytes()).hexdigest(),
        "scored_on": scored_on,
        "metrics": dict(student.numbers),
        **({} if threshold is None else {"threshold": threshold}),
        "licence": "not known here: the weights derive from the teacher's",
    }


def _teacher_name(settings: DistillSettings) -> str:
    """As it stands in files that others get: not where it lay here."""
    return place_label(settings.teacher or "")


def _parity(facts: ExportFacts, results: list[Parity]) -> dict[str, Any]:
    checks = [{name: _in_json(value) for name, value in asdict(result).items()} for result in results]
    return {"dynamic_size": facts.card.dynamic_size, "parity": checks}


def _in_json(value: Any) -> Any:
    """JSON has neither infinity nor NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _row(name: str | None, model: nn.Module, score: Score, spec: TaskSpec, file: Path | None) -> dict[str, Any]:
    parameters = parameter_count(model)
    size = file.stat().st_size if file else 4 * parameters
    macs = multiply_accumulates(model, spec.image_shape)
    return {"name": name, **dict(score.numbers), "parameters": parameters, "macs": macs, "bytes": size}


def _loading(student: nn.Module, card: Card | None) -> str:
    if card is not None:
        return "- input: RGB in [0, 1]; mean and deviation to normalise with are in the header of `model.safetensors`"
    own = "- weights: `load_state_dict` of the class that was given to `compress.distill`"
    if not isinstance(student, NormalisedModel):
        return f"{own}\n- input: RGB in [0, 1]"
    mean, std = ([round(value, 6) for value in t.flatten().tolist()] for t in (student.mean, student.std))
    return f"{own}\n- input: RGB in [0, 1], less mean {mean}, over deviation {std}"


def _parts(settings: DistillSettings, card: Card | None) -> str:
    if card is None or not card.shared_channels:
        return ""
    return (
        f"The network is the feature extractor of {settings.student}, a projector and the classifier of "
        f"{_teacher_name(settings)}: `compress evaluate` loads it, timm alone does not.\n\n"
    )


def model_card(
    settings: DistillSettings,
    teacher: Score,
    student: Score,
    scored_on: str,
    network: nn.Module,
    card: Card | None,
    began_with: str | None,
) -> str:
    """The student's README: what it is, what it scored, how to load it and what to show it."""
    numbers = json.dumps(dict(student.numbers), indent=2)
    data_note = "with collected real images" if settings.collected else "without any real image"
    if began_with:
        data_note += f", from weights that it was given (SHA-256 {began_with})"
    return (
        f"# {settings.student}\n\nDistilled from {_teacher_name(settings)} by {settings.method} {data_note} "
        f"(compress-kd).\n\n{_parts(settings, card)}- task: {settings.task}\n- scored on: {scored_on}\n"
        f"- {student.metric}: {student.headline:.4f} (teacher {teacher.headline:.4f})\n"
        f"{_loading(network, card)}\n\n```json\n{numbers}\n```\n"
    )
