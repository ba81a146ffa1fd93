"""`compress distill`: the main job."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Annotated, Any

import torch
import yaml
from cyclopts import Parameter
from torch import nn

from compress.cli.data import inspect
from compress.cli.handover import hand_over
from compress.cli.models import (
    find_teacher,
    fit_teacher,
    new_model,
    read_collected_images,
    require_origin,
    student_of,
)
from compress.cli.rounds import follow, lead
from compress.collected import Collected
from compress.compute import Compute
from compress.configuration import load_config, merged, names_setting, recipe_names, validated, without
from compress.distiller import Distiller
from compress.errors import UsageError
from compress.evaluation import Score, constant_score, evaluate, require_better_than_chance
from compress.methods import DEFAULTS, SINGLE, UNUSED, Ingredients, Recipe, find_method
from compress.parallel import Workers
from compress.progress import console
from compress.run_directory import RunDirectory, latest, next_free
from compress.settings import DistillSettings
from compress.task import Task
from compress.tasks import DEFAULT_STUDENT, DEFAULT_TEACHER, make_task
from compress.tasks.data import DEFAULT_DATA, DataSource, find_data, open_data

RUNS = Path("runs")


def distill(
    settings: Annotated[DistillSettings | None, Parameter(name="*")] = None,
    *,
    config: str | None = None,
    out: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
) -> None:
    """Make samples from a teacher, distil a student on them, score it on real data, export it to ONNX and verify it.

    Without other flags a task runs on its embedded data: `compress distill --task segmentation --teacher deeplabv3`.
    Settings come from the schema's defaults, then the method's own, then the packaged recipe for the data and method
    (`compress list configs`), then `--config`, then flags; `--dry-run` prints what they come to.

    Parameters
    ----------
    config
        A YAML file with settings, or the name of a packaged recipe.
    out
        Folder of the run; `runs/DATA-METHOD-N` if not given.
    resume
        Continue an interrupted run: the one in --out, or the latest.
    overwrite
        Replace the run in --out.
    dry_run
        Check everything, print the settings, write nothing.
    """
    wanted = resolve(settings.model_dump(exclude_unset=True) if settings else {}, config)
    workers = _workers(wanted)
    source = open_data(wanted.data, wanted.task, wanted.data_root, wanted.image_size)
    require_origin(_required(wanted.teacher), wanted.teacher_weights, source)
    recipe = find_method(wanted.method)
    compute = Compute.choose(wanted.device, wanted.precision)
    collected = read_collected_images(wanted, source)
    student = new_model(_required(wanted.student), source, wanted.seed)
    values = reduce(without, UNUSED.get(wanted.method, ()), wanted.model_dump(mode="json"))
    inspect(source)
    if dry_run:
        name, weights = _required(wanted.teacher), wanted.teacher_weights
        teacher = fit_teacher(name, weights, source, wanted.seed) if weights else new_model(name, source, wanted.seed)
        student_of(wanted.method, student, teacher, source, wanted.seed)
        if workers.leads:
            print(yaml.safe_dump(values, sort_keys=False), end="")
        return
    with workers.joined(compute.device):
        if not workers.leads:
            teacher = new_model(_required(wanted.teacher), source, wanted.seed).eval()
            follow(_prepared(recipe, _ingredients(teacher, student, wanted, source, compute, workers, collected)))
            return
        folder = _folder(source, wanted, out, resume=resume, overwrite=overwrite)
        if resume:
            _require_same(folder, values)
        teacher = find_teacher(_required(wanted.teacher), wanted.teacher_weights, source, compute, wanted.seed)
        student = student_of(wanted.method, student, teacher, source, wanted.seed)
        given = _ingredients(teacher, student, wanted, source, compute, workers, collected)
        teacher_score = _checked_teacher(given.task, compute)
        state = RunDirectory.open(folder).read_checkpoint() if resume else {"history": []}
        history = state.pop("history")
        distiller = _prepared(recipe, given, state)
        run = RunDirectory.open(folder) if resume else RunDirectory.create(folder)
        run.write_config(values)
        lead(distiller, run, history)
    hand_over(run, given.task, teacher, student, wanted, source, teacher_score, compute, distiller.seconds)


def _workers(wanted: DistillSettings) -> Workers:
    """This process among those that torchrun started; only the first of them is heard."""
    workers = Workers.from_environment()
    console.quiet = not workers.leads
    if workers.size > 1 and wanted.method in SINGLE:
        raise UsageError(f"{wanted.method} runs in one process only: leave out torchrun or use --method ssd-kd")
    workers.require_shares(
        {"inversion.samples": wanted.inversion.samples, "distillation.batch": wanted.distillation.batch}
    )
    return workers


def _ingredients(
    teacher: nn.Module,
    student: nn.Module,
    wanted: DistillSettings,
    source: DataSource,
    compute: Compute,
    workers: Workers,
    collected: Collected | None,
) -> Ingredients:
    for model in (teacher, student):
        compute.place(model)
    task = make_task(source, lambda: teacher, lambda: student)
    randomness = torch.Generator().manual_seed(wanted.seed)
    return Ingredients(task, task.teacher(), student, wanted, source.mirror, compute, randomness, collected, workers)


def _prepared(recipe: Recipe, given: Ingredients, state: Mapping[str, Any] | None = None) -> Distiller:
    """The method's distiller, continued from `state` if there is any; what the first worker has, all have."""
    given.workers.align(given.teacher)
    torch.manual_seed(given.settings.seed)
    distiller = recipe(given)
    if state:
        distiller.load_state_dict(dict(state))
    given.workers.align(distiller)
    return distiller


def resolve(flags: Mapping[str, Any], config: str | None) -> DistillSettings:
    """defaults < the method's < packaged recipe < file < flags; the task's own names fill what none of them names."""
    given = merged(load_config(config) if config else {}, flags)
    probe = validated(DistillSettings, given)
    data = find_data(probe.data, probe.task).name
    find_method(probe.method)
    unused = sorted(path for path in UNUSED.get(probe.method, ()) if names_setting(given, path))
    if unused:
        raise UsageError(f"{probe.method} takes no {', '.join(unused)} settings: leave them out or change --method")
    recipe = f"{data}/{probe.method}"
    below = load_config(recipe) if recipe in recipe_names() else {}
    names = {
        "teacher": DEFAULT_TEACHER[probe.task],
        "student": DEFAULT_STUDENT[probe.task],
        "data": DEFAULT_DATA[probe.task],
    }
    wanted = validated(DistillSettings, merged(names, DEFAULTS.get(probe.method, {}), below, given))
    _require_a_batch(wanted)
    return wanted


def _require_a_batch(wanted: DistillSettings) -> None:
    """Raise `UsageError` if the student's first step would find fewer samples than it draws."""
    batch, held = wanted.distillation.batch, (wanted.distillation.warmup + 1) * wanted.inversion.samples
    unused = UNUSED.get(wanted.method, frozenset())
    if not unused.isdisjoint({"inversion", "inversion.steps"}):
        return  # samples are collected, or made by a generator that is trained all along
    if "replay" not in unused:
        held = min(held, wanted.replay.capacity)
    if batch > held:
        raise UsageError(
            f"too few samples for a batch: the student starts on {held} and distillation.batch is {batch}; "
            "lower it, or raise inversion.samples, distillation.warmup or replay.capacity"
        )


def _required(name: str | None) -> str:
    assert name is not None, "resolve() fills the names"
    return name


def _folder(source: DataSource, wanted: DistillSettings, out: Path | None, *, resume: bool, overwrite: bool) -> Path:
    if resume and overwrite:
        raise UsageError("--resume continues a run and --overwrite replaces it: pass one of them")
    stem = f"{source.name}-{wanted.method}"
    if resume:
        return RunDirectory.open(out or latest(RUNS, stem)).path
    folder = out or next_free(RUNS, stem)
    RunDirectory.check(folder, overwrite=overwrite)
    return folder


def _require_same(folder: Path, values: Mapping[str, Any]) -> None:
    before = load_config(str(folder / "config.yaml"))
    changed = [key for key in values if values[key] != before.get(key)]
    if changed:
        raise UsageError(f"--resume changes nothing, but {', '.join(changed)} differs from {folder}/config.yaml")


def _checked_teacher(task: Task, compute: Compute) -> Score:
    score, chance = evaluate(task.teacher(), task, compute.exact), constant_score(task)
    console.print(
        f"teacher: {score.metric} {score.headline:.4f} on {score.count} held-out images "
        f"(a constant answer: {chance.headline:.4f})"
    )
    require_better_than_chance(score, chance)
    return score
