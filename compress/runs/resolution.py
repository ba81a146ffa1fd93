"""Resolving the settings of a run from flags, files and recipes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from compress.errors import UsageError
from compress.methods import find_method
from compress.runs.models import as_answered
from compress.runs.reading import open_for, teacher_of
from compress.runs.schema import own_sections, section_of, with_own_sections
from compress.runs.sizing import FITTED, MINUTES, is_sizeable, require_one_length
from compress.runs.sizing import recipe as recipe_for
from compress.runs.student_choice import choose_student, limits, require_no_limits
from compress.runs.teacher_only import describe, is_alone
from compress.settings import DistillSettings, ResolvedSettings
from compress.storage.run_directory import RunDirectory, latest
from compress.storage.settings_files import load_config, merged, names_setting, recipe_names, validated, without
from compress.student_settings import LIMITS
from compress.tasks import find_task
from compress.tasks.data import find_data
from compress.tasks.data.no_data import NO_DATA
from compress.tasks.packaged_teacher import packaged_teacher

PATCH_ENTROPY = "inversion.patch_entropy"
"""A setting that follows from the teacher's network unless it is set."""
RUNS = Path("runs")
"""The folder of runs without `out`."""


def resolved(settings: DistillSettings) -> dict[str, Any]:
    """The settings that the method uses, as plain data."""
    return reduce(without, unused_settings(settings.method), settings.model_dump(mode="json"))


def unused_settings(method: str) -> frozenset[str]:
    """Settings and sections that a method refuses: those that it lists, and the sections of other methods."""
    return find_method(method).unused | (own_sections().keys() - {section_of(method)})


def resolve(
    flags: Mapping[str, Any], config: str | None, *, resume: bool = False, out: Path | None = None
) -> ResolvedSettings:
    """Resolve settings with the precedence defaults < method < packaged recipe < file < flags.

    The task's default teacher, student and data fill the names that are still missing. A run of a teacher without data
    gets a student and a recipe for it: see `compress.runs.teacher_only`. With `resume`, the length and the student that
    were measured or chosen when the run began are read from its folder, `out` or the latest.
    """
    chosen = merged({} if config is None else load_config(config), flags)
    probe = validated(with_own_sections(DistillSettings), chosen)
    require_no_limits(probe)
    alone = is_alone(probe)
    require_one_length(flags, probe.method)
    lengths = flags if "minutes" in flags else chosen  # a run's file has `minutes` and the rounds measured for them
    data = NO_DATA if alone else find_data(probe.data, probe.task).name
    before = measured_before(out, f"{data}-{probe.method}", chosen) if resume else {}
    if alone:
        return completed(chosen, _of_a_teacher_alone(chosen, probe, before), lengths)
    recipe = f"{data}/{probe.method}"
    below = load_config(recipe) if recipe in recipe_names() else {}
    task = find_task(probe.task)
    names = {"teacher": task.teacher, "student": task.student, "data": task.data}
    settings = _with_packaged_teacher(completed(chosen, merged(names, below, before), lengths))
    return settings if "student" in before or not limits(probe) else _with_a_student_within_limits(settings)


def _of_a_teacher_alone(chosen: Mapping[str, Any], probe: DistillSettings, before: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of a run that has a trained teacher and no data."""
    facts = describe(probe)
    weights = probe.student_weights or "pretrained"
    below: dict[str, Any] = {"teacher": facts.teacher.name, "student_weights": weights}
    if not names_setting(chosen, "distillation.rounds") and is_sizeable(probe.method):
        below["minutes"] = MINUTES
    student = probe.student or before.get("student")
    if student is None:
        student = choose_student(facts.teacher, facts.source, probe)
    return merged(below, recipe_for(probe, facts.source.image_shape[1], weights), {"student": student}, before)


def _with_a_student_within_limits(settings: ResolvedSettings) -> ResolvedSettings:
    """The settings with a student within their limits in place of the recipe's; images are not read."""
    teacher = teacher_of(settings.task, settings.teacher, settings.teacher_weights, settings)
    source = as_answered(open_for(teacher, settings, settings.task), teacher)
    return settings.model_copy(update={"student": choose_student(teacher, source, settings)})


def measured_before(out: Path | None, stem: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What followed from networks and machine when a run to resume began, without what `chosen` sets: its measured
    length, its student, the weight of its patch prior.

    The run is in `out`, by default the latest folder of that stem.
    """
    folder = RunDirectory.open(out or latest(RUNS, stem)).path
    before, kept = load_config(str(folder / "config.yaml")), dict[str, Any]()
    alone = before.get("data") is None
    measured = (PATCH_ENTROPY, *(FITTED if alone or before.get("minutes") is not None else ()))
    for part, name in (path.split(".") for path in measured):
        if name in before.get(part, {}) and not names_setting(chosen, f"{part}.{name}"):
            kept = merged(kept, {part: {name: before[part][name]}})
    picked = alone or any(before.get(limit) is not None for limit in LIMITS)
    if picked and chosen.get("student") is None and isinstance(before.get("student"), str):
        kept["student"] = before["student"]
    return kept


def completed(
    chosen: Mapping[str, Any], below: Mapping[str, Any], lengths: Mapping[str, Any] | None = None
) -> ResolvedSettings:
    """Complete the `chosen` settings from those `below` and the method's defaults; `UsageError` if they conflict.

    `lengths` has the rounds and steps that `minutes` must not change; by default all that were chosen.
    """
    defaults = {"method": DistillSettings().method, "task": DistillSettings().task}
    name, task = (merged(defaults, below, chosen)[key] for key in defaults)
    method = find_method(name)
    unused = sorted(path for path in unused_settings(name) if names_setting(chosen, path))
    if unused:
        raise UsageError(f"{name} takes no {', '.join(unused)} settings: leave them out or change `method`")
    values = merged(method.defaults, find_task(task).defaults, below, chosen)
    values["chosen"] = tuple(path for path in FITTED if names_setting(chosen if lengths is None else lengths, path))
    settings = _with_targets(validated(with_own_sections(ResolvedSettings), values))
    require_a_batch(settings)
    return settings


def _with_targets(settings: ResolvedSettings) -> ResolvedSettings:
    """The settings with the task's default targets if none are set; `UsageError` for targets that it does not have."""
    task, targets = find_task(settings.task), settings.inversion.targets
    kinds = [*task.targets, *task.teacher_targets]
    if targets is not None and targets not in kinds:
        raise UsageError(
            f"inversion.targets {targets!r} are not available for {settings.task}: choose {', '.join(kinds)}"
        )
    inversion = settings.inversion.model_copy(update={"targets": targets or next(iter(task.targets), None)})
    return settings.model_copy(update={"inversion": inversion})


def _with_packaged_teacher(settings: ResolvedSettings) -> ResolvedSettings:
    """The settings with the full name of the packaged teacher, if that is the one named."""
    if settings.data is None or settings.teacher_weights is not None:
        return settings
    packaged = packaged_teacher(settings.teacher, settings.data)
    return settings.model_copy(update={"teacher": packaged.network}) if packaged else settings


def require_a_batch(settings: ResolvedSettings) -> None:
    """Raise `UsageError` if the student's first step would have fewer samples than it draws."""
    batch, samples = settings.distillation.batch, (settings.distillation.warmup + 1) * settings.inversion.samples
    unused = find_method(settings.method).unused
    if not unused.isdisjoint({"inversion", "inversion.steps"}):
        return  # samples are collected, or come from a generator that is trained all the time
    if "replay" not in unused:
        samples = min(samples, settings.replay.capacity)
    if batch > samples:
        raise UsageError(
            f"too few samples for a batch: the student starts on {samples} and distillation.batch is {batch}; "
            "lower it, or raise inversion.samples, distillation.warmup or replay.capacity"
        )
