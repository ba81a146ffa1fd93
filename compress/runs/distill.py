"""The job of a distillation, for networks and data by name or the user's own: all rounds, scores and export."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compress.distillation.distiller import Distiller
from compress.errors import UsageError
from compress.gan.collected import Collected
from compress.methods import MethodContext, find_method, frozen
from compress.replay.stored_samples import in_turns
from compress.runs.data import inspect
from compress.runs.evaluation import Score, evaluate, require_better_than_chance
from compress.runs.events import require_tensorboard
from compress.runs.forecast import say_beginning
from compress.runs.handover import Finished, Outcome, hand_over
from compress.runs.models import (
    as_answered,
    card_of,
    find_teacher,
    fit_teacher,
    new_model,
    place,
    read_collected_images,
    require_origin,
    student_of,
    unfitted_teacher,
)
from compress.runs.provenance import begin_with, inherit, origin_of, require_same_origin, require_same_settings
from compress.runs.reading import open_for, teacher_of
from compress.runs.resolution import resolved
from compress.runs.rounds import follow, lead
from compress.runs.unlabelled import TeacherLabels
from compress.settings import ResolvedSettings
from compress.storage.checkpoints import restore
from compress.storage.lock import exclusive
from compress.storage.run_directory import RunDirectory, latest, next_free
from compress.task import HeldOut
from compress.tasks import held_out_of, make_task
from compress.tasks.data import DataSource
from compress.tasks.models import NormalisedModel
from compress.teacher import Teacher
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers
from compress.training.progress import console
from compress.training.random_state import seed_all

RUNS = Path("runs")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run: its folder, its start, and whether signals stop it."""

    out: Path | None = None
    """Folder of the run; `runs/DATA-METHOD-N` if None."""
    init_from: Path | None = None
    """Run directory, student directory or .safetensors file whose weights the student starts from."""
    resume: bool = False
    overwrite: bool = False
    tensorboard: bool = False
    heed_signals: bool = False
    """Whether Ctrl-C and SIGTERM end the run after a checkpoint. Handlers belong to the process: only who owns it asks
    for them."""

    def check(self) -> None:
        """Raise `UsageError` for options that contradict each other or cannot be met here."""
        if self.resume and self.init_from:
            raise UsageError("`resume` continues with the run's student and `init_from` begins with another: pass one")
        if self.resume and self.overwrite:
            raise UsageError("`resume` continues a run and `overwrite` replaces it: pass one of them")
        if self.tensorboard:
            require_tensorboard()


def distil_by_name(settings: ResolvedSettings, options: RunOptions) -> Outcome | None:
    """Everything `compress distill` does, for networks and data by name; None in every process but the first.

    `settings` are resolved (see `compress.runs.resolution.resolve`). Raises `UsageError` for input that cannot be used,
    `Interrupted` after a checkpoint if asked to stop, `CompressError` if the run fails.
    """
    workers = _workers(settings)
    options.check()
    teacher, source, compute, collected, student = _opened(settings)
    with ExitStack() as held:
        with workers.joined(compute.device):
            if not workers.leads:
                network = unfitted_teacher(teacher, source, settings.seed).eval()
                follow(
                    prepared(method_context(network, student, settings, source, compute, workers, collected)),
                    heed_signals=options.heed_signals,
                )
                return None
            folder = run_folder(source, settings, options)
            held.enter_context(exclusive(folder))
            network = find_teacher(teacher, source, compute, settings.seed)
            student = student_of(settings.method, student, network, source, settings.seed)
            began_with = begin_with(student, options.init_from) if options.init_from else None
            context = method_context(network, student, settings, source, compute, workers, collected)
            done = carry_out(context, held_out_of(source), folder, options, began_with=began_with)
        return hand_over(done, source, card_of(settings.student, source, student))


def check_by_name(settings: ResolvedSettings, options: RunOptions) -> bool:
    """What `distil_by_name` checks before it writes anything; returns whether this process is the first one.

    Raises `UsageError` if networks, weights, data or settings do not fit together.
    """
    workers = _workers(settings)
    options.check()
    teacher, source, _, _, student = _opened(settings)
    fit = fit_teacher if teacher.weights is not None else unfitted_teacher
    student = student_of(settings.method, student, fit(teacher, source, settings.seed), source, settings.seed)
    if options.init_from:
        begin_with(student, options.init_from)
    return workers.leads


def _opened(settings: ResolvedSettings) -> tuple[Teacher, DataSource, Compute, Collected | None, NormalisedModel]:
    """What is known of the teacher, data, device, collected images and a new student."""
    teacher = teacher_of(settings.task, settings.teacher, settings.teacher_weights, settings)
    source = as_answered(open_for(teacher, settings, settings.task), teacher)
    require_origin(teacher.name, settings.teacher_weights, source)
    compute = Compute.choose(settings.device, settings.precision, settings.capture)
    collected = read_collected_images(settings, source)
    student = new_model(settings.student, source, settings.seed)
    inspect(source)
    return teacher, source, compute, collected, student


def carry_out(
    context: MethodContext, held_out: HeldOut, folder: Path, options: RunOptions, *, began_with: str | None = None
) -> Finished:
    """All rounds, recorded in `folder`: the job itself, for networks by name and for a user's own.

    `began_with` is the SHA-256 of the weights that the student was given, if it was.
    """
    teacher_score, origin = _checked_teacher(context.teacher, held_out, context.compute), origin_of(context, held_out)
    state: dict[str, Any] | None = None
    kept: dict[str, Any] = {"history": [], "origin": origin, "began_with": began_with}
    if options.resume:
        state = RunDirectory.open(folder).read_checkpoint(context.settings.distillation.rounds)
        require_same_origin(state.get("origin"), origin, folder)
        kept = {name: state.get(name, value) for name, value in kept.items()}
    if context.settings.distillation.inherit and state is None and began_with is None:
        console.print(f"the student begins with {inherit(context.student, context.teacher)} tensors of its teacher's")
    distiller = prepared(context, state)
    run = RunDirectory.open(folder) if options.resume else RunDirectory.create(folder)
    run.sweep()
    run.write_config(resolved(context.settings), workers=context.workers.size)
    say_beginning(context, distiller)
    lead(
        distiller,
        run,
        kept,
        picture=held_out.picture,
        tensorboard=options.tensorboard,
        heed_signals=options.heed_signals,
    )
    if teacher_score is None:
        samples, _ = distiller.inversion.round(distiller.plan.rounds - 1, context.randomness)
        held_out = TeacherLabels(held_out, context.teacher, samples.images, context.compute.exact)
        teacher_score = evaluate(context.teacher, held_out, context.compute.exact)
    return Finished(
        context=context,
        held_out=held_out,
        run=run,
        teacher_score=teacher_score,
        seconds=distiller.seconds,
        began_with=kept["began_with"],
        synthetic=in_turns(distiller.buffer.state_dict()),
    )


def method_context(
    teacher: nn.Module,
    student: nn.Module,
    settings: ResolvedSettings,
    source: DataSource,
    compute: Compute,
    workers: Workers,
    collected: Collected | None,
) -> MethodContext:
    """The context of the method, with both networks on the device."""
    place(teacher, student, compute, workers, together=settings.distillation.sync_batch_norm)
    task = make_task(source, settings.inversion.targets)
    randomness = torch.Generator().manual_seed(settings.seed)
    return MethodContext(
        task=task,
        teacher=frozen(teacher),
        student=student,
        settings=settings,
        mirror=source.mirror,
        execution=Execution(compute=compute, workers=workers, randomness=randomness),
        collected=collected,
    )


def prepared(context: MethodContext, state: Mapping[str, Any] | None = None) -> Distiller:
    """The method's distiller, continued from `state` if there is one, with the first worker's state on all workers."""
    context.workers.align(context.teacher)
    seed_all(context.settings.seed)
    distiller = find_method(context.settings.method).build(context)
    if state is not None:
        restore(distiller, dict(state))
    context.workers.align(distiller)
    return distiller


def run_folder(source: DataSource, settings: ResolvedSettings, options: RunOptions) -> Path:
    """The folder of a new or resumed run; raises `UsageError` if it cannot be used, or with other settings."""
    stem = f"{source.name}-{settings.method}"
    if options.resume:
        folder = RunDirectory.open(options.out or latest(RUNS, stem)).path
        require_same_settings(folder, resolved(settings))
        return folder
    folder = options.out or next_free(RUNS, stem)
    RunDirectory.check(folder, overwrite=options.overwrite)
    return folder


def _workers(settings: ResolvedSettings) -> Workers:
    """The workers of torchrun; only the first one prints."""
    workers = Workers.from_environment()
    console.quiet = console.quiet or not workers.leads
    if workers.size > 1 and find_method(settings.method).one_process:
        raise UsageError(f"{settings.method} runs in one process only: leave out torchrun or use `method` ssd-kd")
    workers.require_shares(
        {"inversion.samples": settings.inversion.samples, "distillation.batch": settings.distillation.batch}
    )
    return workers


def _checked_teacher(teacher: nn.Module, held_out: HeldOut, compute: Compute) -> Score | None:
    if not any(len(batch.images) for batch in held_out.batches()):
        console.print("no held-out data: the teacher is not compared with chance")
        return None
    score = evaluate(teacher, held_out, compute.exact)
    chance = "" if score.chance is None else f" (answers that ignore the image: up to {score.chance:.4f})"
    console.print(f"teacher: {score.metric} {score.headline:.4f} on {score.count} held-out images{chance}")
    require_better_than_chance(score)
    return score
