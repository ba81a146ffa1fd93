"""How many rounds fit into some minutes: from the time that two rehearsed rounds take here."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from compress.distillation.hints import Hints
from compress.errors import UsageError
from compress.methods import MethodContext, find_method
from compress.settings import DistillSettings, ResolvedSettings
from compress.storage.settings_files import load_config, merged, names_setting, without
from compress.training.progress import console
from compress.training.random_state import preserved_random_state, seed_all

MINUTES = 30.0
"""Of a run without data, unless somebody says how long it is."""
FEWEST_ROUNDS = 8
"""Rounds become smaller before there are fewer of them."""
LARGE = 128
"""The side from which on an image is large, pixels: its generator is narrower, which costs most there."""
BUFFER_BYTES = 250_000_000
PRETRAINED_RATE, USUAL_RATE = 1e-3, 2e-3
BASES = {"classification": "cifar10/ssd-kd-cpu", "segmentation": "camvid/ssd-kd"}
"""The packaged recipes for a CPU that were measured: see docs/results.md."""
LENGTH = ("distillation.rounds", "distillation.warmup", "distillation.steps", "inversion.steps")
FITTED = (*LENGTH, "distillation.hints")
"""Settings that are fitted to the networks and the machine unless they are set."""


@dataclass(frozen=True)
class Pace:
    """Seconds of one step of each half of a round."""

    inversion: float
    student: float


def recipe(settings: DistillSettings, side: int, student_weights: str) -> dict[str, Any]:
    """Settings for any teacher and images of some side in pixels, below those that a user chose.

    They are those of the packaged recipe that is nearest, and for photographs of a classifier what a step of them can
    afford. The numbers of rounds and steps are there until `sized` fits them to the time.
    """
    base = load_config(BASES[settings.task])
    parts: dict[str, Any] = {part: base[part] for part in ("inversion", "replay", "distillation")}
    parts = merged(parts, {"replay": {"capacity": min(5000, BUFFER_BYTES // (3 * side * side))}})
    if settings.task == "classification" and side >= LARGE:
        rate = USUAL_RATE if student_weights == "none" else PRETRAINED_RATE
        learning = {"batch": 32, "steps": 50, "optimizer": "adamw", "lr": rate, "weight_decay": 0.05}
        parts = merged(parts, {"inversion": {"samples": 32, "width": 32, "bn": 1.0}, "distillation": learning})
    for path in find_method(settings.method).unused:
        parts = without(parts, path)
    return parts


def is_sizeable(method: str) -> bool:
    """Whether the time of a method's rounds is that of its steps: not of one that trains a GAN in some of them."""
    return "gan" in find_method(method).unused


def require_one_length(flags: Mapping[str, Any], method: str) -> None:
    """Raise `UsageError` for minutes beside a number of rounds, and for a method that they do not size."""
    if flags.get("minutes") is None:
        return
    if names_setting(flags, "distillation.rounds"):
        raise UsageError("`minutes` says how long the run is, and so does distillation.rounds: pass one of them")
    if not is_sizeable(method):
        raise UsageError(f"`minutes` does not size {method}, which trains its GAN first: set distillation.rounds")


def with_possible_hints(context: MethodContext, settings: ResolvedSettings) -> ResolvedSettings:
    """The settings without hints if these were not set and the networks have no feature maps of equal size."""
    learning = settings.distillation
    if settings.data is not None or "distillation.hints" in settings.chosen or not learning.hints:
        return settings
    try:
        Hints(context.student, context.teacher, context.task.spec.image_shape, learning.hints)
    except UsageError:
        return settings.model_copy(update={"distillation": learning.model_copy(update={"hints": 0.0})})
    return settings


def fit_to_minutes(context: MethodContext, settings: ResolvedSettings) -> ResolvedSettings:
    """The settings with as many rounds as fit into their `minutes` here; as they are where there are none.

    Networks, random numbers and the method's state are as they were.
    """
    settings = with_possible_hints(context, settings)
    if settings.minutes is None or "distillation.rounds" in settings.chosen:
        return settings
    pace = _rehearsed(context, settings)
    values = _fitted(settings, pace)
    learning, inversion = (
        getattr(settings, part).model_copy(update=values.get(part, {})) for part in ("distillation", "inversion")
    )
    fitted = settings.model_copy(update={"distillation": learning, "inversion": inversion})
    console.print(
        f"recipe: {learning.rounds:,} rounds of {_shape(fitted)}: {settings.minutes:g} minutes by two rounds that were "
        "timed here (--minutes)",
        soft_wrap=True,
    )
    return fitted


def _shape(settings: DistillSettings) -> str:
    unused, learning = find_method(settings.method).unused, settings.distillation
    student = f"{learning.steps} student step{'s' if learning.steps > 1 else ''} of {learning.batch} images"
    if "inversion" in unused:
        return student
    steps = 1 if "inversion.steps" in unused else settings.inversion.steps
    count = f"{steps} inversion step{'s' if steps > 1 else ''}"
    return f"{count} for {settings.inversion.samples} images and {student}"


def _rehearsed(context: MethodContext, settings: ResolvedSettings) -> Pace:
    """The time of the second of two rounds of one step each, with copies of what learns."""
    batch = min(settings.distillation.batch, settings.inversion.samples)  # one round has to fill it
    learning = {"rounds": 2, "warmup": 0, "steps": 1, "batch": batch}
    parts = {"inversion": {"steps": 1}, "distillation": learning}
    short = {name: getattr(settings, name).model_copy(update=values) for name, values in parts.items()}
    seconds = list[dict[str, float]]()
    rehearsal = replace(
        context,
        student=copy.deepcopy(context.student),
        settings=settings.model_copy(update={**short, "capture": "off"}),
        execution=replace(context.execution, randomness=torch.Generator().manual_seed(settings.seed)),
    )
    with preserved_random_state():
        seed_all(settings.seed)
        distiller = find_method(settings.method).build(rehearsal)
        distiller.run(lambda done: seconds.append(dict(distiller.seconds)))
    spent = {half: seconds[1][half] - seconds[0][half] for half in ("inversion", "distillation")}
    spent = context.workers.mean_numbers(spent)  # all workers must come to the same number of rounds
    return Pace(spent["inversion"], spent["distillation"] * settings.distillation.batch / batch)


def _fitted(settings: ResolvedSettings, pace: Pace) -> dict[str, dict[str, int]]:
    """Rounds, warm-up and steps for the minutes; what the user chose stays."""
    learning, total = settings.distillation, 60 * (settings.minutes or MINUTES)
    unused = find_method(settings.method).unused
    adapts = unused.isdisjoint({"inversion", "inversion.steps"})
    steps, adapted = learning.steps, settings.inversion.steps if adapts else 1
    share = total / (FEWEST_ROUNDS * _seconds(pace, adapted, steps))
    if share < 1 and "distillation.steps" not in settings.chosen:
        steps = max(math.floor(share * steps), 1)
    if share < 1 and adapts and "inversion.steps" not in settings.chosen:
        adapted = max(math.floor(share * adapted), 1)
    rounds = max(round(total / _seconds(pace, adapted, steps)), 2)
    values: dict[str, dict[str, int]] = {"distillation": {"rounds": rounds, "steps": steps}}
    if "distillation.warmup" not in settings.chosen:
        warmup = round(rounds * learning.warmup / learning.rounds)
        values["distillation"]["warmup"] = min(max(warmup, 1 if learning.warmup else 0), rounds - 1)
    if adapts:
        values["inversion"] = {"steps": adapted}
    return values


def _seconds(pace: Pace, inversion_steps: int, student_steps: int) -> float:
    return max(inversion_steps * pace.inversion + student_steps * pace.student, 1e-6)
