"""The job of a distillation between modules of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from compress.errors import UsageError
from compress.methods import find_method
from compress.runs.answer_adapters import Place
from compress.runs.collected_images import read_collected_images
from compress.runs.distill import RunOptions, carry_out, run_folder
from compress.runs.handover import Outcome, hand_over
from compress.runs.own_modules import OwnData, normalised, own_source, require_apart, usable
from compress.runs.resolution import completed, measured_before
from compress.runs.run_inputs import method_context
from compress.runs.sizing import fit_to_minutes
from compress.settings import DistillSettings, HeldOutSettings, ResolvedSettings
from compress.storage.lock import exclusive
from compress.storage.settings_files import merged
from compress.student_settings import LIMITS
from compress.tasks import held_out_of
from compress.training.compute import Compute
from compress.training.parallel import Workers

BY_NAME = {
    "teacher",
    "teacher_weights",
    "student",
    "student_weights",
    "crop_size",
    *HeldOutSettings.model_fields,
    *LIMITS,
}
BY_NAME -= {"follow_links"}
"""Settings for networks and data by name, which `compress.distill` takes as arguments."""


@dataclass(frozen=True, kw_only=True)
class OwnNetworks:
    """Two modules, what their images are normalised by, and where in their answers the logits are."""

    teacher: nn.Module
    student: nn.Module
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    output: Place | None = None


def distil_modules(
    networks: OwnNetworks, data: OwnData, settings: DistillSettings, options: RunOptions
) -> tuple[nn.Module, Outcome]:
    """The trained student, on the CPU, and what the run came to; see `compress.distill`."""
    options.check()
    chosen = _resolved(networks, data, settings, options)
    source = own_source(chosen.task, data)
    compute = Compute.choose(chosen.device, chosen.precision, chosen.capture)
    both = (networks.teacher, "teacher"), (networks.student, "student")
    teacher, student = (usable(network, role, source, networks.output) for network, role in both)
    require_apart(teacher, student)
    big, small = (normalised(network, networks.mean, networks.std, chosen.task) for network in (teacher, student))
    folder = run_folder(source, chosen, options)
    collected = read_collected_images(chosen, source)
    context = method_context(big, small, chosen, source, compute, Workers(), collected)
    if not options.resume:
        context = replace(context, settings=fit_to_minutes(context, chosen))
    with exclusive(folder):
        outcome = hand_over(carry_out(context, held_out_of(source), folder, options), source, None)
    return small, outcome


def _resolved(networks: OwnNetworks, data: OwnData, settings: DistillSettings, options: RunOptions) -> ResolvedSettings:
    names = {"teacher": type(networks.teacher).__name__, "student": type(networks.student).__name__}
    own = merged(_without_names(settings), {**names, "data": None if data.held_out is None else "own"})
    method = find_method(settings.method)
    if method.shares_classifier:
        raise UsageError(
            f"{settings.method} rebuilds the student around the teacher's classifier, which needs networks known by "
            "name: use `method` fast-dfkd for modules of your own"
        )
    before = measured_before(options.out, f"own-{settings.method}", own) if options.resume else {}
    return completed(own, before)


def _without_names(settings: DistillSettings) -> dict[str, Any]:
    chosen = settings.model_dump(exclude_unset=True)
    named = sorted(chosen.keys() & BY_NAME)
    if named:
        raise UsageError(f"settings hold {', '.join(named)}, which are for models and data by name: leave them out")
    return chosen
