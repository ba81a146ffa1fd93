"""The job of training a teacher on labelled data."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from compress.errors import Interrupted, UsageError
from compress.runs.charts import class_bars
from compress.runs.data import inspect, say_split, sums_report
from compress.runs.evaluation import Score, evaluate, multiply_accumulates, parameter_count
from compress.runs.models import beginning, card_of, new_model
from compress.runs.reading import open_for, teacher_of, with_preparation
from compress.settings import TeachSettings
from compress.storage.checkpoints import load_plain, restore
from compress.storage.files import sweep, write_text
from compress.storage.lock import HOLDER, LOCK, exclusive, holds_anything
from compress.storage.marker import holds_more_than, mark, require_own
from compress.storage.run_directory import environment, write_png, write_state
from compress.task import Batch, HeldOut
from compress.tasks import find_task, held_out_of
from compress.tasks.data import DataSource
from compress.tasks.models import NormalisedModel
from compress.tasks.models.model_folder import save_model
from compress.tasks.teaching import TeachingPlan, Training, usual_plan
from compress.training.compute import Compute
from compress.training.progress import Steps
from compress.training.stopping import StopSignal

KIND = "model"
"""What the mark of the folder says."""
UNFINISHED = "unfinished.pt"
SECONDS_BETWEEN_CHECKPOINTS = 60.0
SHOWN = 12  # held-out images in the picture


@dataclass(frozen=True, kw_only=True)
class Taught:
    """A trained network and its score."""

    folder: Path
    """The model directory."""
    network: str
    data: str
    score: Score


def teach(
    settings: TeachSettings,
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    heed_signals: bool = False,
) -> Taught:
    """Train a network on labelled data and save it as a model directory in `out`.

    Raises `UsageError` for input that cannot be used, and, only if `heed_signals` listens to Ctrl-C and SIGTERM,
    `Interrupted` after a checkpoint.
    """
    _check_folder(out, resume=resume, overwrite=overwrite)
    with exclusive(out):
        mark(out, KIND)
        return _teach(settings, out, resume=resume, heed_signals=heed_signals)


def _teach(settings: TeachSettings, out: Path, *, resume: bool, heed_signals: bool) -> Taught:
    checkpoint = out / UNFINISHED
    name = settings.teacher or find_task(settings.task).teacher
    teacher = replace(teacher_of(settings.task, name, None, settings), classes=None)
    source = open_for(teacher, settings, settings.task)
    plan = _plan(settings, source)
    compute = Compute.choose(settings.device, settings.precision)
    pretrained = settings.pretrained and source.fingerprint is None and not resume
    model = with_preparation((beginning if pretrained else new_model)(name, source, settings.seed), teacher)
    inspect(source)
    data = source.training()
    say_split(source.name, data)
    training = Training(model, data, source, plan, compute, settings.seed)
    origin = {"network": name, "data": source.name, "image_shape": list(source.image_shape), "seed": settings.seed}
    facts = {**origin, **asdict(plan)}
    if resume:
        sweep(out)
        restore(training, _unfinished(checkpoint, facts))
    else:
        checkpoint.unlink(missing_ok=True)  # of another training, which `overwrite` gives up
    _run(training, checkpoint, facts, StopSignal("step", heed_signals=heed_signals))
    score = _hand_over(training, model, facts, source, out)
    checkpoint.unlink(missing_ok=True)
    return Taught(folder=out, network=name, data=source.name, score=score)


def _check_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise UsageError("`resume` continues a training and `overwrite` begins anew: pass one of them")
    if resume and not (out / UNFINISHED).is_file():
        raise UsageError(f"nothing to resume in {out}: there is no {UNFINISHED}")
    if out.is_file() or (out.is_dir() and holds_anything(out) and not (overwrite or resume)):
        raise UsageError(f"{out} is not an empty folder: choose another `out` or pass `resume` or `overwrite`")
    if out.is_dir() and holds_more_than(out, LOCK, HOLDER, UNFINISHED):
        require_own(out, KIND)


def _plan(settings: TeachSettings, source: DataSource) -> TeachingPlan:
    """The data's default plan with the given settings."""
    named = ("steps", "batch", "weight_decay", "optimizer", "schedule", "loss", "class_weights", "zoom")
    chosen: dict[str, Any] = {key: getattr(settings, key) for key in named} | {"learning_rate": settings.lr}
    return replace(usual_plan(source), **{key: value for key, value in chosen.items() if value is not None})


def _run(training: Training, checkpoint: Path, facts: dict[str, Any], stopping: StopSignal) -> None:
    """All steps with progress on stderr; raises `Interrupted` after a checkpoint if asked to stop."""
    saved = time.monotonic()

    def after_step(done: int, loss: float) -> None:
        nonlocal saved
        steps.update(done, f"loss {loss:.3f}")
        if done == training.plan.steps:
            return
        if stopping.requested or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
            state = {**training.state_dict(), "facts": json.dumps(facts)}
            write_state(checkpoint, state)
            saved = time.monotonic()
        if stopping.requested:
            raise Interrupted(
                f"stopped after step {done} of {training.plan.steps}: `resume` with `out` {checkpoint.parent} continues"
            )

    with stopping, Steps("teaching", training.plan.steps, training.done) as steps:
        training.run(after_step)


def _unfinished(checkpoint: Path, facts: dict[str, Any]) -> dict[str, Any]:
    try:
        state: dict[str, Any] = load_plain(checkpoint)
        before = dict(json.loads(state.pop("facts")))
    except Exception as error:  # broken checkpoints raise nine unrelated types
        raise UsageError(f"{checkpoint} is broken: start again with `overwrite`") from error
    changed = [key for key, value in facts.items() if before.get(key) != value]
    if changed:
        raise UsageError(
            f"`resume` changes nothing, but {', '.join(changed)} differs from the training in {checkpoint}"
        )
    return state


def _hand_over(
    training: Training, model: NormalisedModel, facts: dict[str, Any], source: DataSource, out: Path
) -> Score:
    """Score the network, draw its predictions, write its report and then its model directory."""
    name, labelled = facts["network"], held_out_of(source)
    score = evaluate(model, labelled, training.compute.exact)
    scored_on = f"{score.count} held-out images of {source.name}"
    write_png(out / "held-out.png", _picture(model, labelled, training.compute))
    for key in score.by_class:
        class_bars(out / f"{key}.png", f"{key} on {scored_on}", {name: score.by_class[key]})
    model.to(torch.device("cpu"))
    report = {
        "schema_version": 1,
        "task": source.task,
        "data": source.name,
        "n": score.count,
        **sums_report(source.held_out()),
        **score.numbers,
        "parameters": parameter_count(model),
        "macs": multiply_accumulates(model, source.image_shape),
        "settings": facts,
        "seconds": {"teaching": training.seconds, "evaluation": score.seconds},
    }
    write_text(out / "report.json", json.dumps(report, indent=2) + "\n")
    write_text(out / "environment.json", json.dumps(environment(), indent=2) + "\n")
    readme = f"# {name}\n\nTaught on {source.name}; {score.metric} {score.headline:.4f} on {scored_on}.\n"
    save_model(out, model, card_of(name, source, model), readme)
    return score


@torch.no_grad()
def _picture(model: NormalisedModel, labelled: HeldOut, compute: Compute) -> torch.Tensor:
    """Held-out images with their labels and the model's answers."""
    batch = next(labelled.batches())
    shown = Batch(batch.images[:SHOWN], batch.targets[:SHOWN])
    logits = model(shown.images.to(compute.device).contiguous(memory_format=torch.channels_last))
    return labelled.picture(shown, logits.float().cpu(), target="label")
