"""What a run by name is about, opened: teacher, data, device, collected images, and a student to begin with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from compress.gan.collected import Collected
from compress.methods import MethodContext, frozen
from compress.runs.collected_images import read_collected_images
from compress.runs.data import inspect
from compress.runs.models import as_answered, new_student, place, require_origin, student_of
from compress.runs.patch_prior import with_patch_prior
from compress.runs.provenance import begin_with
from compress.runs.reading import open_for, teacher_of
from compress.runs.teacher_only import describe, print_facts
from compress.settings import ResolvedSettings
from compress.tasks import make_task
from compress.tasks.data import DataSource
from compress.tasks.models import NormalisedModel
from compress.teacher import Teacher
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers


@dataclass(frozen=True, kw_only=True)
class RunInputs:
    """What is known before the teacher's weights are fitted."""

    teacher: Teacher
    source: DataSource
    compute: Compute
    collected: Collected | None
    student: NormalisedModel
    began_with: str | None
    """SHA-256 of the student's weights; None if they are random."""

    def context(
        self, teacher: nn.Module, student: nn.Module, settings: ResolvedSettings, workers: Workers
    ) -> MethodContext:
        """The context of the method, with both networks on the device."""
        return method_context(teacher, student, settings, self.source, self.compute, workers, self.collected)

    def student_for(
        self, teacher: NormalisedModel, settings: ResolvedSettings, init_from: Path | None
    ) -> tuple[NormalisedModel, str | None]:
        """The method's student, with the weights of `init_from` if there is one, and what it then began with."""
        student = student_of(settings.method, self.student, teacher, self.source, settings.seed)
        return student, begin_with(student, init_from) if init_from else self.began_with


def open_inputs(settings: ResolvedSettings, student_weights: str | None) -> RunInputs:
    """Open what the settings name; the student begins with `student_weights`, or with random ones if that is None.

    Raises `UsageError` for what cannot be used or does not fit together.
    """
    if settings.data is None:
        facts = describe(settings)
        teacher, source = facts.teacher, as_answered(facts.source, facts.teacher)
        print_facts(facts, source, settings)
    else:
        teacher = teacher_of(settings.task, settings.teacher, settings.teacher_weights, settings)
        source = as_answered(open_for(teacher, settings, settings.task), teacher)
    require_origin(teacher, source)
    compute = Compute.choose(settings.device, settings.precision, settings.capture)
    collected = read_collected_images(settings, source)
    student, began_with = new_student(settings, source, student_weights)
    inspect(source)
    return RunInputs(
        teacher=teacher, source=source, compute=compute, collected=collected, student=student, began_with=began_with
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
    settings = with_patch_prior(settings, frozen(teacher), source.image_shape)
    task = make_task(source, settings.inversion.targets)
    randomness = torch.Generator().manual_seed(settings.seed)
    return MethodContext(
        task=task,
        teacher=teacher,
        student=student,
        settings=settings,
        mirror=source.mirror,
        execution=Execution(compute=compute, workers=workers, randomness=randomness),
        collected=collected,
    )
