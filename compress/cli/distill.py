"""`compress distill`: the main job."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import torch
import yaml
from cyclopts import Parameter
from torch import nn

from compress.checkpoints import restore
from compress.cli.data import inspect
from compress.cli.events import require_tensorboard
from compress.cli.handover import Finished, hand_over
from compress.cli.models import (
    card_of,
    find_teacher,
    fit_teacher,
    new_model,
    read_collected_images,
    require_origin,
    student_of,
)
from compress.cli.origin import begin_with, origin_of, require_same_origin
from compress.cli.resolution import resolve, resolved
from compress.cli.rounds import follow, lead
from compress.cli.unlabelled import TeachersAnswers
from compress.collected import Collected
from compress.compute import Compute
from compress.configuration import load_config
from compress.distiller import Distiller
from compress.errors import UsageError
from compress.evaluation import Score, evaluate, require_better_than_chance
from compress.exclusive import exclusive
from compress.methods import Ingredients, find_method
from compress.parallel import Workers
from compress.progress import console
from compress.random_state import seed_all
from compress.run_directory import RunDirectory, latest, next_free
from compress.settings import DistillSettings
from compress.task import Task
from compress.tasks import make_task
from compress.tasks.data import DataSource, open_data

RUNS = Path("runs")


def distill(
    settings: Annotated[DistillSettings | None, Parameter(name="*")] = None,
    *,
    config: str | None = None,
    out: Path | None = None,
    init_from: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    tensorboard: bool = False,
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
    init_from
        The student begins with the weights of this run directory, student directory or .safetensors file.
    resume
        Continue an interrupted run: the one in --out, or the latest.
    overwrite
        Replace the run in --out.
    dry_run
        Check everything, print the settings, write nothing.
    tensorboard
        Also write the run's numbers and pictures for TensorBoard, into the folder `tensorboard` of the run.
    """
    if resume and init_from:
        raise UsageError("--resume goes on with the run's own student and --init-from begins with another: pass one")
    wanted = resolve(settings.model_dump(exclude_unset=True) if settings else {}, config)
    workers = _workers(wanted)
    if tensorboard and workers.leads:
        require_tensorboard()
    source = open_data(wanted.data, wanted.task, wanted.data_root, wanted.image_size, wanted.crop_size)
    require_origin(_required(wanted.teacher), wanted.teacher_weights, source)
    compute = Compute.choose(wanted.device, wanted.precision)
    collected = read_collected_images(wanted, source)
    student = new_model(_required(wanted.student), source, wanted.seed)
    inspect(source)
    if dry_run:
        name, weights = _required(wanted.teacher), wanted.teacher_weights
        teacher = fit_teacher(name, weights, source, wanted.seed) if weights else new_model(name, source, wanted.seed)
        student = student_of(wanted.method, student, teacher, source, wanted.seed)
        if init_from:
            begin_with(student, init_from)
        if workers.leads:
            print(yaml.safe_dump(resolved(wanted), sort_keys=False), end="")
        return
    with ExitStack() as held:
        with workers.joined(compute.device):
            if not workers.leads:
                teacher = new_model(_required(wanted.teacher), source, wanted.seed).eval()
                follow(_prepared(ingredients(teacher, student, wanted, source, compute, workers, collected)))
                return
            folder = run_folder(source, wanted, out, resume=resume, overwrite=overwrite)
            held.enter_context(exclusive(folder))
            teacher = find_teacher(_required(wanted.teacher), wanted.teacher_weights, source, compute, wanted.seed)
            student = student_of(wanted.method, student, teacher, source, wanted.seed)
            began_with = begin_with(student, init_from) if init_from else None
            given = ingredients(teacher, student, wanted, source, compute, workers, collected)
            done = carry_out(given, folder, resume=resume, began_with=began_with, tensorboard=tensorboard)
        hand_over(done, source, card_of(_required(wanted.student), source, student))


def carry_out(
    given: Ingredients, folder: Path, *, resume: bool, began_with: str | None = None, tensorboard: bool = False
) -> Finished:
    """All rounds, recorded in `folder`, for TensorBoard too if wanted: the job itself, for networks by name and for a
    user's own.

    `began_with` is the SHA-256 of the weights that the student was given, if it was.
    """
    teacher_score, origin = _checked_teacher(given.task, given.compute), origin_of(given)
    state: dict[str, Any] | None = None
    kept: dict[str, Any] = {"history": [], "origin": origin, "began_with": began_with}
    if resume:
        state = RunDirectory.open(folder).read_checkpoint()
        require_same_origin(state.get("origin"), origin, folder)
        kept = {name: state.get(name, value) for name, value in kept.items()}
    distiller = _prepared(given, state)
    run = RunDirectory.open(folder) if resume else RunDirectory.create(folder)
    run.sweep()
    run.write_config(resolved(given.settings))
    lead(distiller, run, kept, tensorboard=tensorboard)
    task = given.task
    if teacher_score is None:
        samples, _ = distiller.inversion.round(distiller.plan.rounds - 1, given.randomness)
        task = TeachersAnswers(task, given.teacher, samples.images, given.compute.exact)
        teacher_score = evaluate(given.teacher, task, given.compute.exact)
    return Finished(given, task, run, teacher_score, distiller.seconds, kept["began_with"])


def _workers(wanted: DistillSettings) -> Workers:
    """This process among those that torchrun started; only the first of them is heard."""
    workers = Workers.from_environment()
    console.quiet = not workers.leads
    if workers.size > 1 and find_method(wanted.method).one_process:
        raise UsageError(f"{wanted.method} runs in one process only: leave out torchrun or use --method ssd-kd")
    workers.require_shares(
        {"inversion.samples": wanted.inversion.samples, "distillation.batch": wanted.distillation.batch}
    )
    return workers


def ingredients(
    teacher: nn.Module,
    student: nn.Module,
    wanted: DistillSettings,
    source: DataSource,
    compute: Compute,
    workers: Workers,
    collected: Collected | None,
) -> Ingredients:
    """What the method works on, with both networks on the device."""
    for model in (teacher, student):
        compute.place(model)
    task = make_task(source, lambda: teacher, lambda: student, wanted.inversion.targets)
    randomness = torch.Generator().manual_seed(wanted.seed)
    return Ingredients(task, task.teacher(), student, wanted, source.mirror, compute, randomness, collected, workers)


def _prepared(given: Ingredients, state: Mapping[str, Any] | None = None) -> Distiller:
    """The method's distiller, continued from `state` if there is any; what the first worker has, all have."""
    given.workers.align(given.teacher)
    seed_all(given.settings.seed)
    distiller = find_method(given.settings.method).recipe(given)
    if state is not None:
        restore(distiller, dict(state))
    given.workers.align(distiller)
    return distiller


def _required(name: str | None) -> str:
    assert name is not None, "resolve() fills the names"
    return name


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
