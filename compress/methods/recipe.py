"""What every recipe is given, and the parts that are the same in all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from compress.augment import RandomView
from compress.collected import Collected
from compress.compute import Compute
from compress.distiller import DistillationPlan, Distiller
from compress.errors import UsageError
from compress.generators import ConditionalGenerator
from compress.inversion import GeneratorInversion, InversionPlan, SampleWeights
from compress.lessons import Lesson, SoftLabels
from compress.objective import Objective
from compress.optimizers import make_optimizer
from compress.replay import ReplayBuffer
from compress.schedules import Stairs, WarmupCosine
from compress.settings import DistillSettings
from compress.task import Task


@dataclass(frozen=True)
class Ingredients:
    """What a recipe works on: task, frozen teacher and new student on the device, settings, and the one generator."""

    task: Task
    teacher: nn.Module
    student: nn.Module
    settings: DistillSettings
    mirror: bool
    """Whether mirror images are as good as the originals."""
    compute: Compute
    randomness: torch.Generator
    collected: Collected | None = None
    """Real images, for the methods that need a few."""


Recipe = Callable[[Ingredients], Distiller]


def cook(given: Ingredients, objective: Objective, sample_weights: SampleWeights, buffer: ReplayBuffer) -> Distiller:
    """A distiller with a kept generator, the given objective, per-sample weights and buffer."""
    wanted, spec = given.settings.inversion, given.task.spec
    generator = ConditionalGenerator(spec.num_classes, spec.image_shape, wanted.latent, wanted.width)
    given.compute.place(generator)
    inversion = GeneratorInversion(
        given.task,
        given.teacher,
        given.student,
        generator,
        objective,
        InversionPlan(
            wanted.samples,
            wanted.steps,
            wanted.lr_generator,
            wanted.lr_latent,
            wanted.meta,
            RandomView(wanted.shift, given.mirror),
        ),
        sample_weights,
        given.compute,
    )
    learning = given.settings.distillation
    steps = max(learning.rounds - learning.warmup, 0) * learning.steps
    plan = DistillationPlan(
        learning.rounds,
        learning.warmup,
        learning.steps,
        learning.batch,
        SoftLabels(learning.temperature),
        WarmupCosine(learning.lr, max(steps // 10, 1), steps),
        RandomView(learning.shift, given.mirror, learning.shuffle_channels),
    )
    optimizer = make_optimizer(learning.optimizer, given.student, learning.lr, learning.weight_decay)
    return Distiller(
        given.task, given.teacher, given.student, inversion, buffer, optimizer, plan, given.compute, given.randomness
    )


def collected_images(given: Ingredients, *batches: int) -> Collected:
    """The collected images; raises `UsageError` if there are none, no labels, or too few for one of the batches."""
    method, collected = given.settings.method, given.collected
    if collected is None:
        raise UsageError(f"{method} learns from collected real images: give their folder with --collected")
    if given.task.draw_targets(1, torch.Generator()).ndim > 1:
        raise UsageError(f"{method} is for classification only: use another method for {given.task.spec.name}")
    collected.require(max(batches))
    return collected


def stairs_plan(given: Ingredients, lesson: Lesson, keep_from: int = 0) -> DistillationPlan:
    """Learning as HiDFD has it: the rate falls to a tenth at 150, 180 and 210 of 240 parts of the run."""
    learning = given.settings.distillation
    steps = max(learning.rounds - learning.warmup, 0) * learning.steps
    return DistillationPlan(
        learning.rounds,
        learning.warmup,
        learning.steps,
        learning.batch,
        lesson,
        Stairs(learning.lr, steps, (150 / 240, 180 / 240, 210 / 240)),
        RandomView(learning.shift, given.mirror, learning.shuffle_channels),
        keep_from,
    )
