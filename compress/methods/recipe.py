"""What every recipe is given, and the parts that are the same in all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from compress.augment import RandomView
from compress.compute import Compute
from compress.distiller import DistillationPlan, Distiller
from compress.generators import ConditionalGenerator
from compress.inversion import GeneratorInversion, InversionPlan, SampleWeights
from compress.objective import Objective
from compress.optimizers import make_optimizer
from compress.parallel import ALONE, Workers
from compress.replay import ReplayBuffer
from compress.schedules import WarmupCosine
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
    workers: Workers = ALONE


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
        given.workers,
    )
    learning = given.settings.distillation
    steps = max(learning.rounds - learning.warmup, 0) * learning.steps
    plan = DistillationPlan(
        learning.rounds,
        learning.warmup,
        learning.steps,
        learning.batch,
        learning.temperature,
        WarmupCosine(learning.lr, max(steps // 10, 1), steps),
        RandomView(learning.shift, given.mirror, learning.shuffle_channels),
    )
    optimizer = make_optimizer(learning.optimizer, given.student, learning.lr, learning.weight_decay)
    return Distiller(
        given.task,
        given.teacher,
        given.student,
        inversion,
        buffer,
        optimizer,
        plan,
        given.compute,
        given.randomness,
        given.workers,
    )
