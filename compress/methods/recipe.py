"""What every recipe is given, and the parts that are the same in all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.distillation.distillation_loss import Lesson, SoftLabels
from compress.distillation.distiller import DistillationPlan, Distiller
from compress.distillation.hints import Hints
from compress.errors import UsageError
from compress.gan.collected import Collected
from compress.replay.buffer import Buffer, ReplayBuffer, Uniform, newest
from compress.settings import DistillSettings
from compress.synthesis.generators import ConditionalGenerator, ImageGenerator, LatentGenerator
from compress.synthesis.inversion import GeneratorInversion, Inversion, InversionPlan
from compress.synthesis.inversion_loss import Critic, SampleWeights
from compress.synthesis.objective import Objective
from compress.synthesis.pixels import PixelInversion, PixelPlan
from compress.synthesis.targets import Drawn, DrawTargets, Layouts, answers
from compress.task import Statistics, Task
from compress.training.augment import RandomView
from compress.training.compute import Compute
from compress.training.optimizers import make_optimizer
from compress.training.parallel import ALONE, Workers
from compress.training.random_state import seed_all
from compress.training.schedules import Constant, Cosine, From, Schedule, Stairs, Warmup


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
    workers: Workers = ALONE

    @classmethod
    def of(cls, task: Task, settings: DistillSettings, *, mirror: bool = True) -> Ingredients:
        """Of a task of your own: its teacher and a new student, seeded, where and how precisely the settings say."""
        seed_all(settings.seed)
        compute = Compute.choose(settings.device, settings.precision)
        teacher, student = task.teacher(), task.student()
        for network in (teacher, student):
            compute.place(network)
        return cls(task, teacher, student, settings, mirror, compute, torch.Generator().manual_seed(settings.seed))


Recipe = Callable[[Ingredients], Distiller]


def cook(given: Ingredients, objective: Objective, sample_weights: SampleWeights, buffer: ReplayBuffer) -> Distiller:
    """A distiller with a kept, meta-learned generator, the given objective, per-sample weights and buffer."""
    wanted = given.settings.inversion
    critic = _critic(given, objective, _shifted(given), sample_weights, bn_momentum=0.9)
    plan = InversionPlan(wanted.samples, wanted.steps, wanted.lr_generator, wanted.lr_latent, wanted.meta)
    return assemble(given, _with_generator(given, critic, plan, _targets(given, buffer)), buffer)


def train_generator(given: Ingredients, objective: Objective, lesson: Lesson | None = None) -> Distiller:
    """A distiller with an unconditional generator that is itself trained, one Adam step a round, and with no pool.

    A round's student steps draw from images made for them after that step; the next round's take their place.
    """
    wanted, learning = given.settings.inversion, given.settings.distillation
    count = learning.steps * learning.batch
    critic = _critic(given, objective, RandomView(0, flip=False), alike)
    plan = InversionPlan(wanted.samples, 1, wanted.lr_generator, 0.0, "sum", count)
    return assemble(
        given, _with_generator(given, critic, plan, answers), ReplayBuffer(count, newest, Uniform()), lesson
    )


def renew_generator(given: Ingredients, objective: Objective) -> Distiller:
    """A distiller with a new generator for every round, and a pool of everything ever made."""
    wanted = given.settings.inversion
    critic = _critic(given, objective, _shifted(given), alike)
    plan = InversionPlan(wanted.samples, wanted.steps, wanted.lr_generator, wanted.lr_latent, None)
    everything = pool(given)
    return assemble(given, _with_generator(given, critic, plan, _targets(given, everything)), everything)


def optimise_pixels(given: Ingredients, objective: Objective, augment: RandomView) -> Distiller:
    """A distiller without a generator, and a pool of everything ever made."""
    wanted = given.settings.inversion
    plan = PixelPlan(wanted.samples, wanted.steps, wanted.lr_latent)
    critic = _critic(given, objective, augment, alike)
    everything = pool(given)
    drawn = Drawn(given.task, everything)
    return assemble(given, PixelInversion(drawn, critic, plan, given.compute, given.workers), everything)


def assemble(
    given: Ingredients,
    inversion: Inversion,
    buffer: Buffer,
    lesson: Lesson | None = None,
    rate: Schedule | None = None,
    keep_from: int = 0,
) -> Distiller:
    """A distiller of these parts; if not given, the lesson is soft labels, the rate a short rise and half a cosine."""
    learning, steps = given.settings.distillation, _student_steps(given)
    rise = max(steps // 10, 1)
    plan = DistillationPlan(
        learning.rounds,
        learning.warmup,
        learning.steps,
        learning.batch,
        lesson or SoftLabels(learning.temperature),
        rate or Warmup(rise, Cosine(learning.lr, steps - rise)),
        RandomView(learning.shift, given.mirror, learning.shuffle_channels, zoom=learning.zoom),
        keep_from,
    )
    hints, learners = None, nn.ModuleList([given.student])
    if learning.hints:
        hints = Hints(given.student, given.teacher, given.task.spec.image_shape, learning.hints)
        learners.append(hints.to(given.compute.device))
    optimizer = make_optimizer(learning.optimizer, learners, learning.lr, learning.weight_decay)
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
        hints,
    )


def pool(given: Ingredients) -> ReplayBuffer:
    """A buffer that holds all that a run makes."""
    return ReplayBuffer(given.settings.distillation.rounds * given.settings.inversion.samples, newest, Uniform())


def alike(statistics: Statistics) -> Tensor:
    """Sample weights of 1."""
    return torch.ones_like(statistics.confidence)


def fast_terms(given: Ingredients) -> dict[str, Schedule]:
    """FastDFKD's `bn·L_bn + one_hot·L_oh + adversarial·L_adv` (eqs. 3 to 8), which others build on."""
    wanted = given.settings.inversion
    return {"bn": Constant(wanted.bn), "one_hot": Constant(wanted.one_hot), "adversarial": after_warmup(given)}


def after_warmup(given: Ingredients) -> From:
    """The weight of an adversarial term: none while the student has learnt nothing."""
    return From(given.settings.distillation.warmup, given.settings.inversion.adversarial)


def stairs(given: Ingredients) -> Stairs:
    """HiDFD's learning rate: it falls to a tenth at 150, 180 and 210 of 240 parts of the run."""
    return Stairs(given.settings.distillation.lr, _student_steps(given), (150 / 240, 180 / 240, 210 / 240))


def collected_images(given: Ingredients, *batches: int) -> Collected:
    """The collected images; raises `UsageError` if there are none, or too few for one of the batches."""
    method, collected = given.settings.method, given.collected
    if collected is None:
        raise UsageError(f"{method} learns from collected real images: give their folder with --collected")
    collected.require(max(batches))
    return collected


def _student_steps(given: Ingredients) -> int:
    learning = given.settings.distillation
    return max(learning.rounds - learning.warmup, 0) * learning.steps


def _shifted(given: Ingredients) -> RandomView:
    return RandomView(given.settings.inversion.shift, given.mirror)


def _critic(
    given: Ingredients,
    objective: Objective,
    augment: RandomView,
    sample_weights: SampleWeights,
    bn_momentum: float = 0.0,
) -> Critic:
    return Critic(
        given.teacher,
        given.student,
        objective,
        sample_weights,
        augment,
        given.task.spec.ignore_index,
        given.compute,
        bn_momentum,
        given.workers,
    )


def _targets(given: Ingredients, buffer: ReplayBuffer) -> DrawTargets:
    """What was asked for; the task knows which of the kinds that it draws itself."""
    drawn = Drawn(given.task, buffer)
    kinds: dict[str, DrawTargets] = {"answers": answers, "layouts": Layouts(drawn, given.teacher, given.compute)}
    return kinds.get(given.settings.inversion.targets or "", drawn)


def _with_generator(
    given: Ingredients, critic: Critic, plan: InversionPlan, draw_targets: DrawTargets
) -> GeneratorInversion:
    wanted, spec = given.settings.inversion, given.task.spec
    generator: ImageGenerator
    if wanted.conditional and draw_targets is not answers:
        generator = ConditionalGenerator(spec.num_classes, spec.image_shape, wanted.latent, wanted.width)
    else:
        generator = LatentGenerator(spec.image_shape, wanted.latent, wanted.width)
    given.compute.place(generator)
    return GeneratorInversion(draw_targets, given.teacher, generator, critic, plan, given.compute, given.workers)
