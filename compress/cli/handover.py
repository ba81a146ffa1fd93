"""The end of a run: the student saved, scored, exported, verified and shown beside its teacher."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from compress.cli.data import sums_report
from compress.cli.models import card_of
from compress.compute import Compute
from compress.evaluation import Score, evaluate, multiply_accumulates, parameter_count
from compress.export import ExportFacts, OnnxModel, Parity, export_verified, require_parity
from compress.run_directory import RunDirectory
from compress.settings import DistillSettings
from compress.task import Task
from compress.tasks.data import DataSource
from compress.tasks.models import NormalisedModel
from compress.tasks.models.saved import save_model

console = Console(highlight=False)  # results belong on standard output


def hand_over(
    run: RunDirectory,
    task: Task,
    teacher: NormalisedModel,
    student: NormalisedModel,
    settings: DistillSettings,
    source: DataSource,
    teacher_score: Score,
    compute: Compute,
    seconds: Mapping[str, float],
) -> None:
    """Write student, ONNX file and report, then print the table; raises `GateError` if the ONNX file differs."""
    student.eval()
    student_score = evaluate(student, task, compute.exact)
    card = card_of(str(settings.student), source, student)
    readme = model_card(settings, teacher_score, student_score, shared=bool(card.shared_channels))
    save_model(run.student, student, card, readme)
    deployable = task.deployable(student.cpu().eval())
    facts, results = export_verified(deployable, task.spec, run.onnx, next(task.held_out()).images)
    onnx_score = evaluate(OnnxModel(run.onnx), task, Compute(torch.device("cpu"), torch.float32))
    rows = {
        "teacher": _row(settings.teacher, teacher, teacher_score, source, None),
        "student": _row(settings.student, student, student_score, source, run.student / "model.safetensors"),
        "onnx": {"name": "model.onnx", **dict(onnx_score.numbers), "bytes": run.onnx.stat().st_size},
    }
    kept = student_score.headline / teacher_score.headline
    report = {
        "schema_version": 1,
        "task": source.task,
        "data": source.name,
        "n": student_score.count,
        **sums_report(source.held_out()),
        "kept": kept,
        "seconds": {**seconds, "evaluation": teacher_score.seconds + student_score.seconds + onnx_score.seconds},
        **rows,
    }
    parity = [
        {"shape": r.shape, "agreement": r.agreement, "difference": r.difference, "passed": r.passed} for r in results
    ]
    run.write_report({**report, "dynamic_size": facts.dynamic_size, "parity": parity})
    console.print(_table(rows, student_score.metric, kept))
    _say(facts, results)
    console.print(
        f"run directory  {run.path}\nsamples        {run.path / 'samples'}\nONNX file      {run.onnx}", soft_wrap=True
    )
    require_parity(results)


def _say(facts: ExportFacts, results: list[Parity]) -> None:
    sizes = "any height and width" if facts.dynamic_size else f"height and width fixed ({facts.reason})"
    console.print(f"ONNX: batch of any size, {sizes}; parity with torch:")
    for result in results:
        console.print(f"  {'ok    ' if result.passed else 'FAILED'} {result}", soft_wrap=True)


def report_export(facts: ExportFacts, results: list[Parity]) -> None:
    """Say what was exported and how it compares; raises `GateError` if it differs."""
    _say(facts, results)
    console.print(f"ONNX file      {facts.path}", soft_wrap=True)
    require_parity(results)


def _row(
    name: str | None, model: NormalisedModel, score: Score, source: DataSource, file: Path | None
) -> dict[str, Any]:
    parameters = parameter_count(model)
    size = file.stat().st_size if file else 4 * parameters
    macs = multiply_accumulates(model, source.image_shape)
    return {"name": name, **dict(score.numbers), "parameters": parameters, "macs": macs, "bytes": size}


def _table(rows: dict[str, dict[str, Any]], metric: str, kept: float) -> Table:
    table = Table()
    for column in ("", "network", metric, "kept", "parameters", "MACs", "file"):
        table.add_column(column, justify="left" if column in ("", "network") else "right", overflow="fold")
    for role, row in rows.items():
        table.add_row(
            role,
            row["name"],
            f"{row[metric]:.4f}",
            "" if role == "teacher" else f"{row[metric] / rows['teacher'][metric]:.1%}",
            f"{row['parameters'] / 1e6:.2f} M" if "parameters" in row else "",
            f"{row['macs'] / 1e6:,.0f} M" if "macs" in row else "",
            f"{row['bytes'] / 1e6:.1f} MB",
        )
    return table


def model_card(settings: DistillSettings, teacher: Score, student: Score, *, shared: bool) -> str:
    """The student's README."""
    numbers = json.dumps(dict(student.numbers), indent=2)
    seen = "with collected real images" if settings.collected else "without any real image"
    parts = (
        f"The network is the feature extractor of {settings.student}, a projector and the classifier of "
        f"{settings.teacher}: `compress evaluate` loads it, timm alone does not.\n\n"
    )
    return (
        f"# {settings.student}\n\nDistilled from {settings.teacher} by {settings.method} {seen} "
        f"(compress-kd).\n\n{parts if shared else ''}"
        f"- task: {settings.task}\n- scored on: {settings.data}, {student.count} held-out images\n"
        f"- {student.metric}: {student.headline:.4f} (teacher {teacher.headline:.4f})\n"
        f"- input: RGB in [0, 1]; the mean and deviation to normalise with are in the header of `model.safetensors`\n\n"
        f"```json\n{numbers}\n```\n"
    )
