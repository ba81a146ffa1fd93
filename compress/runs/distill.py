"""The job of a distillation: where a run goes, what the method works on, all rounds, and what is handed over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compress.distillation.distiller import Distiller
from compress.errors import UsageError
from compress.gan.collected import Collected
from compress.methods import MethodContext, find_method
from compress.runs.evaluation import Score, evaluate, require_better_than_chance
from compress.runs.handover import Finished
from compress.runs.origin import origin_of, require_same_origin
from compress.runs.resolution import resolved
from compress.runs.rounds import lead
from compress.runs.unlabelled import TeachersAnswers
from compress.settings import DistillSettings
from compress.storage.checkpoints import restore
from compress.storage.run_directory import RunDirectory, latest, next_free
from compress.storage.settings_files import load_config
from compress.task import Task
from compress.tasks import make_task
from compress.tasks.data import DataSource
from compress.training.compute import Compute
from compress.training.parallel import Workers
from compress.training.progress import console
from compress.training.random_state import seed_all

RUNS = Path("runs")


def carry_out(
    context: MethodContext, folder: Path, *, resume: bool, began_with: str | None = None, tensorboard: bool = False
) -> Finished:
    """All rounds, recorded in `folder`, for TensorBoard too if wanted: the job itself, for networks by name and for a
    user's own.

    `began_with` is the SHA-256 of the weights that the student was given, if it was.
    """
    teacher_score, origin = _checked_teacher(context.task, context.compute), origin_of(context)
    state: dict[str, Any] | None = None
    kept: dict[str, Any] = {"history": [], "origin": origin, "began_with": began_with}
    if resume:
        state = RunDirectory.open(folder).read_checkpoint()
        require_same_origin(state.get("origin"), origin, folder)
        kept = {name: state.get(name, value) for name, value in kept.items()}
    distiller = prepared(context, state)
    run = RunDirectory.open(folder) if resume else RunDirectory.create(folder)
    run.sweep()
    run.write_config(resolved(context.settings), workers=context.workers.size)
    lead(distiller, run, kept, tensorboard=tensorboard)
    task = context.task
    if teacher_score is None:
        samples, _ = distiller.inversion.round(distiller.plan.rounds - 1, context.randomness)
        task = TeachersAnswers(task, context.teacher, samples.images, context.compute.exact)
        teacher_score = evaluate(context.teacher, task, context.compute.exact)
    return Finished(context, task, run, teacher_score, distiller.seconds, kept["began_with"])


def ingredients(
    teacher: nn.Module,
    student: nn.Module,
    wanted: DistillSettings,
    source: DataSource,
    compute: Compute,
    workers: Workers,
    collected: Collected | None,
) -> MethodContext:
    """What the method works on, with both networks on the device."""
    for model in (teacher, student):
        compute.place(model)
    task = make_task(source, lambda: teacher, lambda: student, wanted.inversion.targets)
    randomness = torch.Generator().manual_seed(wanted.seed)
    return MethodContext(task, task.teacher(), student, wanted, source.mirror, compute, randomness, collected, workers)


def prepared(context: MethodContext, state: Mapping[str, Any] | None = None) -> Distiller:
    """The method's distiller, continued from `state` if there is any; what the first worker has, all have."""
    context.workers.align(context.teacher)
    seed_all(context.settings.seed)
    distiller = find_method(context.settings.method).build(context)
    if state is not None:
        restore(distiller, dict(state))
    context.workers.align(distiller)
    return distiller


def run_folder(source: DataSource, wanted: DistillSettings, out: Path | None, *, resume: bool, overwrite: bool) -> Path:
    """Where the run is or will be; raises `UsageError` if it cannot be there, or cannot go on with these settings."""
    if resume and overwrite:
        raise UsageError("--resume continues a run and --overwrite replaces it: pass one of them")
    stem = f"{source.name}-{wanted.method}"
    if resume:
        folder = RunDirectory.open(out or latest(RUNS, stem)).path
        _require_same(folder, resolved(wanted))
        return folder
    folder = out or next_free(RUNS, stem)
    RunDirectory.check(folder, overwrite=overwrite)
    return folder


def _require_same(folder: Path, values: Mapping[str, Any]) -> None:
    before = load_config(str(folder / "config.yaml"))
    changed = [key for key in values if values[key] != before.get(key)]
    if changed:
        raise UsageError(f"--resume changes nothing, but {', '.join(changed)} differs from {folder}/config.yaml")


def _checked_teacher(task: Task, compute: Compute) -> Score | None:
    if not any(len(batch.images) for batch in task.held_out()):
        console.print("no held-out data: whether the teacher is better than chance is not checked")
        return None
    score = evaluate(task.teacher(), task, compute.exact)
    chance = "" if score.chance is None else f" (answers that ignore the image: up to {score.chance:.4f})"
    console.print(f"teacher: {score.metric} {score.headline:.4f} on {score.count} held-out images{chance}")
    require_better_than_chance(score)
    return score
