"""`compress distill`: the main job."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Annotated, Any

import torch
import yaml
from cyclopts import Parameter

from compress.cli.data import inspect
from compress.cli.handover import hand_over
from compress.cli.models import find_teacher, fit_teacher, new_model, require_origin
from compress.compute import Compute
from compress.configuration import load_config, merged, names_setting, recipe_names, validated, without
from compress.distiller import Distiller, Round
from compress.errors import Interrupted, UsageError
from compress.evaluation import Score, constant_score, evaluate, require_better_than_chance
from compress.methods import DEFAULTS, UNUSED, Ingredients, find_method
from compress.progress import Steps, console
from compress.run_directory import RunDirectory, latest, next_free
from compress.settings import DistillSettings
from compress.task import Batch, Task
from compress.tasks import DEFAULT_STUDENT, DEFAULT_TEACHER, make_task
from compress.tasks.data import DEFAULT_DATA, DataSource, find_data, open_data

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
    recipe = find_method(wanted.method)
    compute = Compute.choose(wanted.device, wanted.precision)
    student = new_model(_required(wanted.student), source, wanted.seed)
    values = reduce(without, UNUSED.get(wanted.method, ()), wanted.model_dump(mode="json"))
    inspect(source)
    if dry_run:
        name, weights = _required(wanted.teacher), wanted.teacher_weights
        new_model(name, source, wanted.seed) if weights is None else fit_teacher(name, weights, source, wanted.seed)
        print(yaml.safe_dump(values, sort_keys=False), end="")
        return
    folder = _folder(source, wanted, out, resume=resume, overwrite=overwrite)
    if resume:
        _require_same(folder, values)
    teacher = find_teacher(_required(wanted.teacher), wanted.teacher_weights, source, compute, wanted.seed)
    task = make_task(source, lambda: teacher, lambda: student)
    for model in (teacher, student):
        compute.place(model)
    teacher_score = _checked_teacher(task, compute)
    run = RunDirectory.open(folder) if resume else RunDirectory.create(folder)
    run.write_config(values)
    torch.manual_seed(wanted.seed)
    randomness = torch.Generator().manual_seed(wanted.seed)
    distiller = recipe(Ingredients(task, task.teacher(), student, wanted, source.mirror, compute, randomness))
    history: list[dict[str, float]] = []
    if resume:
        state = run.read_checkpoint()
        history = state.pop("history")
        distiller.load_state_dict(state)
    _run(distiller, run, history)
    hand_over(run, task, teacher, student, wanted, source, teacher_score, compute)


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
    unused = UNUSED.get(wanted.method, ())
    if "inversion.steps" in unused:
        return  # a generator that is trained all along makes what each step draws
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
