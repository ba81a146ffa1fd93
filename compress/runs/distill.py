"""The job of a distillation, for networks and data by name or the user's own: all rounds, scores and export."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from compress.distillation.distiller import Distiller
from compress.errors import UsageError
from compress.methods import MethodContext, find_method
from compress.replay.stored_samples import in_turns
from compress.runs.evaluation import Score, evaluate, require_better_than_chance
from compress.runs.events import require_tensorboard
from compress.runs.forecast import say_beginning
from compress.runs.handover import Finished, Outcome, hand_over
from compress.runs.models import (
    card_of,
    find_teacher,
    fit_teacher,
    unfitted_teacher,
)
from compress.runs.provenance import inherit, origin_of, require_same_origin, require_same_settings
from compress.runs.resolution import RUNS, require_a_batch, resolved
from compress.runs.rounds import follow, lead
from compress.runs.run_inputs import open_inputs
from compress.runs.sizing import fit_to_minutes
from compress.runs.unlabelled import TeacherLabels, comparison_samples
from compress.settings import ResolvedSettings
from compress.storage.checkpoints import restore
from compress.storage.lock import exclusive
from compress.storage.run_directory import RunDirectory, latest, next_free
from compress.task import HeldOut
from compress.tasks import held_out_of
from compress.tasks.data import DataSource
from compress.training.compute import Compute
from compress.training.parallel import Workers
from compress.training.progress import console
from compress.training.random_state import seed_all


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
    run = open_inputs(settings, _student_weights(settings, options))
    teacher, source, seed = run.teacher, run.source, settings.seed
    with ExitStack() as held:
        with workers.joined(run.compute.device):
            if not workers.leads:
                network = unfitted_teacher(teacher, source, seed).eval()
                context = _with_length(run.context(network, run.student, settings, workers), options)
                follow(prepared(context), heed_signals=options.heed_signals)
                return None
            folder = run_folder(source, settings, options)
            held.enter_context(exclusive(folder))
            network = find_teacher(teacher, source, run.compute, seed)
            student, began_with = run.student_for(network, settings, options.init_from)
            context = _with_length(run.context(network, student, settings, workers), options)
            done = carry_out(context, held_out_of(source), folder, options, began_with=began_with)
        return hand_over(done, source, card_of(settings.student, source, student))


def check_by_name(settings: ResolvedSettings, options: RunOptions) -> ResolvedSettings | None:
    """What `distil_by_name` checks before it writes anything; returns the settings of the run, or None in every process
    but the first.

    Raises `UsageError` if networks, weights, data or settings do not fit together.
    """
    workers = _workers(settings)
    options.check()
    run = open_inputs(settings, _student_weights(settings, options))
    fit = fit_teacher if run.teacher.weights is not None else unfitted_teacher
    network = fit(run.teacher, run.source, settings.seed).eval()
    student, _ = run.student_for(network, settings, options.init_from)
    if not workers.leads:
        return None
    if settings.minutes is None or workers.size > 1:
        return settings
    return fit_to_minutes(run.context(network, student, settings, workers), settings)


def _student_weights(settings: ResolvedSettings, options: RunOptions) -> str | None:
    """What a new student begins with; None where its weights come from a checkpoint or from `init_from`."""
    return None if options.resume or options.init_from else settings.student_weights


def _with_length(context: MethodContext, options: RunOptions) -> MethodContext:
    """The context of a new run, as long as the settings say; of one that is resumed, as it was measured then."""
    assert isinstance(context.settings, ResolvedSettings)
    if options.resume:
        return context
    settings = fit_to_minutes(context, context.settings)
    require_a_batch(settings)
    return replace(context, settings=settings)


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
        images, what = comparison_samples(context, distiller)
        held_out = TeacherLabels(held_out, context.teacher, images, context.compute.exact, what)
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
        raise UsageError(f"{settings.method} runs in one process only: leave out torchrun or use `method` fast-dfkd")
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
