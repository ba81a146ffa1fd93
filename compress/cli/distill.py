"""`compress distill`: the main job."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import yaml
from cyclopts import Parameter
from torch import nn

from compress.cli.data import inspect
from compress.cli.handover import hand_over
from compress.cli.models import card_of, find_teacher, fit_teacher, new_model, require_origin
from compress.cli.resolution import resolve, resolved
from compress.cli.unlabelled import TeachersAnswers
from compress.compute import Compute
from compress.configuration import load_config
from compress.distiller import Distiller, Round
from compress.errors import Interrupted, UsageError
from compress.evaluation import Score, constant_score, evaluate, require_better_than_chance
from compress.methods import Ingredients, find_method
from compress.progress import Steps, console
from compress.run_directory import RunDirectory, latest, next_free
from compress.settings import DistillSettings
from compress.task import Batch, Task
from compress.tasks import make_task
from compress.tasks.data import DataSource, open_data
from compress.tasks.models.saved import Card

RUNS = Path("runs")
SECONDS_BETWEEN_CHECKPOINTS = 60.0
SHOWN = 24  # samples in a picture


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
    source = open_data(wanted.data, wanted.task, wanted.data_root, wanted.image_size)
    require_origin(_required(wanted.teacher), wanted.teacher_weights, source)
    compute = Compute.choose(wanted.device, wanted.precision)
    student = new_model(_required(wanted.student), source, wanted.seed)
    inspect(source)
    if dry_run:
        name, weights = _required(wanted.teacher), wanted.teacher_weights
        new_model(name, source, wanted.seed) if weights is None else fit_teacher(name, weights, source, wanted.seed)
        print(yaml.safe_dump(resolved(wanted), sort_keys=False), end="")
        return
    folder = run_folder(source, wanted, out, resume=resume, overwrite=overwrite)
    teacher = find_teacher(_required(wanted.teacher), wanted.teacher_weights, source, compute, wanted.seed)
    card = card_of(_required(wanted.student), source, student)
    carry_out(source, teacher, student, card, wanted, compute, folder, resume=resume)


def carry_out(
    source: DataSource,
    teacher: nn.Module,
    student: nn.Module,
    card: Card | None,
    wanted: DistillSettings,
    compute: Compute,
    folder: Path,
    *,
    resume: bool,
) -> dict[str, Any]:
    """The job itself, from two networks to the report's content; a user's own student has no card."""
    recipe = find_method(wanted.method)
    task: Task = make_task(source, lambda: teacher, lambda: student)
    for model in (teacher, student):
        compute.place(model)
    teacher_score = _checked_teacher(task, compute)
    run = RunDirectory.open(folder) if resume else RunDirectory.create(folder)
    run.write_config(resolved(wanted))
    torch.manual_seed(wanted.seed)
    randomness = torch.Generator().manual_seed(wanted.seed)
    distiller = recipe(Ingredients(task, task.teacher(), student, wanted, source.mirror, compute, randomness))
    history: list[dict[str, float]] = []
    if resume:
        state = run.read_checkpoint()
        history = state.pop("history")
        distiller.load_state_dict(state)
    _run(distiller, run, history)
    if teacher_score is None:
        samples, _ = distiller.inversion.round(distiller.plan.rounds - 1, randomness)
        task = TeachersAnswers(task, teacher, samples.images, compute.exact)
        teacher_score = evaluate(teacher, task, compute.exact)
    return hand_over(run, task, teacher, student, card, wanted, source, teacher_score, compute)


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
    score, chance = evaluate(task.teacher(), task, compute.exact), constant_score(task)
    console.print(
        f"teacher: {score.metric} {score.headline:.4f} on {score.count} held-out images "
        f"(a constant answer: {chance.headline:.4f})"
    )
    require_better_than_chance(score, chance)
    return score


def _run(distiller: Distiller, run: RunDirectory, history: list[dict[str, float]]) -> None:
    stopping, saved = _StopSignal(), time.monotonic()
    total = distiller.plan.rounds
    drawn = {0, distiller.plan.warmup_rounds - 1, total // 2, total - 1}

    def after_round(done: Round) -> None:
        nonlocal saved
        history.append({"round": done.index, **done.numbers})
        run.log(f"round {done.index + 1}/{total} " + " ".join(f"{k} {v:.4f}" for k, v in done.numbers.items()))
        steps.update(
            done.index + 1, {k: v for k, v in done.numbers.items() if k in ("one_hot", "bn", "kl", "l1", "agreement")}
        )
        if done.index in drawn:
            run.write_picture(f"round-{done.index + 1:04d}", _picture(distiller, done))
        if stopping.asked or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS or done.index + 1 == total:
            run.write_checkpoint({**distiller.state_dict(), "history": history})
            run.write_metrics(history)
            saved = time.monotonic()
        if stopping.asked and done.index + 1 < total:
            raise Interrupted(f"stopped after round {done.index + 1} of {total}: --resume --out {run.path} continues")

    with stopping, Steps("distilling", total, distiller.next_round) as steps:
        distiller.run(after_round)


class _StopSignal:
    """While entered, the first Ctrl-C or SIGTERM asks to stop after the round; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        console.print("stopping after this round; once more to stop at once")


@torch.no_grad()
def _picture(distiller: Distiller, done: Round) -> torch.Tensor:
    samples = done.samples
    images = distiller.compute.images(samples.images[:SHOWN])
    with distiller.compute.autocast():
        logits = distiller.teacher(images)
    return distiller.task.picture(Batch(images, samples.targets[:SHOWN]), logits.float())
