"""Resolving the settings of a run from flags, files and recipes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

from compress.errors import UsageError
from compress.methods import find_method
from compress.runs.schema import own_sections, section_of, with_own_sections
from compress.settings import DistillSettings, ResolvedSettings
from compress.storage.settings_files import load_config, merged, names_setting, recipe_names, validated, without
from compress.tasks import find_task
from compress.tasks.data import find_data
from compress.tasks.packaged_teacher import packaged_teacher


def resolved(settings: DistillSettings) -> dict[str, Any]:
    """The settings that the method uses, as plain data."""
    return reduce(without, unused_settings(settings.method), settings.model_dump(mode="json"))


def unused_settings(method: str) -> frozenset[str]:
    """Settings, and sections of settings, that a method refuses: what it says, and the sections of other methods."""
    return find_method(method).unused | (own_sections().keys() - {section_of(method)})


def resolve(flags: Mapping[str, Any], config: str | None) -> ResolvedSettings:
    """defaults < the method's < packaged recipe < file < flags; the task's own names fill what none of them names."""
    chosen = merged({} if config is None else load_config(config), flags)
    probe = validated(with_own_sections(DistillSettings), chosen)
    data = find_data(probe.data, probe.task).name
    recipe = f"{data}/{probe.method}"
    below = load_config(recipe) if recipe in recipe_names() else {}
    task = find_task(probe.task)
    names = {"teacher": task.teacher, "student": task.student, "data": task.data}
    return _with_packaged_teacher(completed(chosen, merged(names, below)))


def completed(chosen: Mapping[str, Any], below: Mapping[str, Any]) -> ResolvedSettings:
    """What was `chosen`, on what lies `below` it, on the method's defaults; `UsageError` if they do not go together."""
    usual = {"method": DistillSettings().method, "task": DistillSettings().task}
    name, task = (merged(usual, below, chosen)[key] for key in usual)
    method = find_method(name)
    unused = sorted(path for path in unused_settings(name) if names_setting(chosen, path))
    if unused:
        raise UsageError(f"{name} takes no {', '.join(unused)} settings: leave them out or change `method`")
    values = merged(method.defaults, find_task(task).defaults, below, chosen)
    settings = _with_targets(validated(with_own_sections(ResolvedSettings), values))
    _require_a_batch(settings)
    return settings


def _with_targets(settings: ResolvedSettings) -> ResolvedSettings:
    """The settings with the task's usual targets if none are asked for; `UsageError` if it has none of that kind."""
    task, targets = find_task(settings.task), settings.inversion.targets
    kinds = [*task.targets, *task.teacher_targets]
    if targets is not None and targets not in kinds:
        raise UsageError(
            f"inversion.targets {targets!r} are not available for {settings.task}: choose {', '.join(kinds)}"
        )
    inversion = settings.inversion.model_copy(update={"targets": targets or next(iter(task.targets), None)})
    return settings.model_copy(update={"inversion": inversion})


def _with_packaged_teacher(settings: ResolvedSettings) -> ResolvedSettings:
    """The settings with the full name of the teacher that comes with the package, if it is the one."""
    if settings.data is None or settings.teacher_weights is not None:
        return settings
    packaged = packaged_teacher(settings.teacher, settings.data)
    return settings.model_copy(update={"teacher": packaged.network}) if packaged else settings


def _require_a_batch(settings: ResolvedSettings) -> None:
    """Raise `UsageError` if the student's first step would find fewer samples than it draws."""
    batch, held = settings.distillation.batch, (settings.distillation.warmup + 1) * settings.inversion.samples
    unused = find_method(settings.method).unused
    if not unused.isdisjoint({"inversion", "inversion.steps"}):
        return  # samples are collected, or made by a generator that is trained all along
    if "replay" not in unused:
        held = min(held, settings.replay.capacity)
    if batch > held:
        raise UsageError(
            f"too few samples for a batch: the student starts on {held} and distillation.batch is {batch}; "
            "lower it, or raise inversion.samples, distillation.warmup or replay.capacity"
        )
