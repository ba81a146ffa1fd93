"""The assemblies of engine parts that methods share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from compress.distillation.distillation_loss import DistillationLoss, SoftLabels
from compress.distillation.distiller import Distiller
from compress.distillation.hints import Hints
from compress.distillation.plan import DistillationPlan
from compress.errors import UsageError
from compress.gan.collected import Collected
from compress.gan.transfer_set import BufferBesideTransferSet, TransferSet
from compress.methods.context import MethodContext
from compress.replay.buffer import Buffer, ReplayBuffer
from compress.replay.policies import Uniform, newest
from compress.settings import InversionSettings
from compress.synthesis.generators import ConditionalGenerator, ImageGenerator, LatentGenerator, Standardised
from compress.synthesis.input_prior import input_statistics
from compress.synthesis.inversion import GeneratorInversion, Inversion, InversionPlan
from compress.synthesis.inversion_loss import InversionLoss, SampleWeights
from compress.synthesis.objective import Objective
from compress.synthesis.patches import patch_layers
from compress.synthesis.pixels import PixelInversion, PixelPlan
from compress.synthesis.targets import Drawn, DrawTargets, Layouts, answers
from compress.task import Statistics
from compress.training.augment import RandomView
from compress.training.mixing import MIXES
from compress.training.optimizers import make_optimizer
from compress.training.schedules import Cosine, Schedule, Stairs, Warmup


def adapt_generator(
    context: MethodContext, objective: Objective, sample_weights: SampleWeights, buffer: ReplayBuffer
) -> Distiller:
    """A distiller with a meta-learned generator, the given objective, per-sample weights and buffer."""
    inversion = context.settings.inversion
    inversion_loss = _inversion_loss(context, objective, _shifted(context), sample_weights, bn_momentum=0.9)
    plan = _inversion_plan(inversion)
    inversion_of_generator = _with_generator(context, inversion_loss, plan, _targets(context, buffer))
    return assemble(context, inversion_of_generator, beside_collected(context, buffer))


def train_generator(
    context: MethodContext, objective: Objective, distillation_loss: DistillationLoss | None = None
) -> Distiller:
    """A distiller with an unconditional generator that is trained with one Adam step per round, without a pool.

    The images begin with the mean and deviation of the teacher's input: see `Standardised`. The
    student steps of a round draw from images that are generated after that step and replaced in the next round.
    """
    inversion, learning = context.settings.inversion, context.settings.distillation
    count = learning.steps * learning.batch
    inversion_loss = _inversion_loss(context, objective, RandomView(shift=0, flip=False), alike)
    plan = InversionPlan(samples=inversion.samples, steps=1, lr_generator=inversion.lr_generator, emit=count)
    return assemble(
        context,
        _with_generator(context, inversion_loss, plan, answers, Standardised(*input_statistics(context.teacher))),
        ReplayBuffer(count, newest, Uniform(), context.compute),
        distillation_loss,
    )


def renew_generator(context: MethodContext, objective: Objective) -> Distiller:
    """A distiller with a new generator every round and a pool of all samples."""
    inversion = context.settings.inversion
    inversion_loss = _inversion_loss(context, objective, _shifted(context), alike)
    plan = _inversion_plan(inversion, keeps_generator=False)
    everything = pool(context)
    inversion_of_generator = _with_generator(context, inversion_loss, plan, _targets(context, everything))
    return assemble(context, inversion_of_generator, beside_collected(context, everything))


def optimise_pixels(context: MethodContext, objective: Objective, augment: RandomView) -> Distiller:
    """A distiller without a generator and with a pool of all samples."""
    settings = context.settings.inversion
    plan = PixelPlan(samples=settings.samples, steps=settings.steps, lr=settings.lr_latent)
    inversion_loss = _inversion_loss(context, objective, augment, alike)
    everything = pool(context)
    drawn = Drawn(context.task, everything)
    inversion = PixelInversion(drawn=drawn, inversion_loss=inversion_loss, plan=plan, execution=context.execution)
    return assemble(context, inversion, beside_collected(context, everything))


def assemble(
    context: MethodContext,
    inversion: Inversion,
    buffer: Buffer,
    distillation_loss: DistillationLoss | None = None,
    rate: Schedule | None = None,
    keep_from: int = 0,
) -> Distiller:
    """A distiller of these parts; by default with soft labels and a learning rate with a short warm-up and a cosine."""
    learning, steps = context.settings.distillation, _student_steps(context)
    rise = max(steps // 10, 1)
    plan = DistillationPlan(
        rounds=learning.rounds,
        warmup_rounds=learning.warmup,
        steps_per_round=learning.steps,
        batch=learning.batch,
        distillation_loss=distillation_loss or SoftLabels(learning.temperature),
        learning_rate=rate or Warmup(rise, Cosine(learning.lr, steps - rise)),
        augment=RandomView(
            shift=learning.shift, flip=context.mirror, shuffle_channels=learning.shuffle_channels, zoom=learning.zoom
        ),
        mix=MIXES.get(learning.mix),
        dropout=learning.dropout,
        keep_from=keep_from,
    )
    hints, learners = None, nn.ModuleList([context.student])
    if learning.hints:
        hints = Hints(context.student, context.teacher, context.task.spec.image_shape, learning.hints)
        learners.append(hints.to(context.compute.device))
    optimizer = make_optimizer(learning.optimizer, learners, learning.lr, learning.weight_decay)
    return Distiller(
        task=context.task,
        teacher=context.teacher,
        student=context.student,
        inversion=inversion,
        buffer=buffer,
        optimizer=optimizer,
        plan=plan,
        execution=context.execution,
        hints=hints,
    )


def _inversion_plan(settings: InversionSettings, *, keeps_generator: bool = True) -> InversionPlan:
    return InversionPlan(
        samples=settings.samples,
        steps=settings.steps,
        lr_generator=settings.lr_generator,
        lr_latent=settings.lr_latent,
        keeps_generator=keeps_generator,
    )


def pool(context: MethodContext) -> ReplayBuffer:
    """A buffer for all samples of a run."""
    everything = context.settings.distillation.rounds * context.settings.inversion.samples
    return ReplayBuffer(everything, newest, Uniform(), context.compute)


def beside_collected(context: MethodContext, buffer: ReplayBuffer) -> Buffer:
    """The buffer; if photographs were collected, with their share of every batch."""
    learning = context.settings.distillation
    if context.collected is None or not learning.collected_share:
        return buffer
    transfer_set = TransferSet(
        context.collected,
        context.teacher,
        context.compute,
        even=learning.collected_even,
        confident=learning.collected_confident,
    )
    return BufferBesideTransferSet(buffer, transfer_set, learning.collected_share, learning.batch, context.compute)


def alike(statistics: Statistics) -> Tensor:
    """Weights of 1 for all samples."""
    return torch.ones_like(statistics.confidence)


def stairs(context: MethodContext) -> Stairs:
    """HiDFD's learning rate: it falls to a tenth at 150, 180 and 210 of 240 parts of the run."""
    return Stairs(
        first=context.settings.distillation.lr, steps=_student_steps(context), at=(150 / 240, 180 / 240, 210 / 240)
    )


def collected_images(context: MethodContext, *batches: int) -> Collected:
    """The collected images; raises `UsageError` if there are none, or too few for one of the batches."""
    method, collected = context.settings.method, context.collected
    if collected is None:
        raise UsageError(f"{method} learns from collected real images: give their folder with `collected`")
    collected.require(max(batches))
    return collected


def _student_steps(context: MethodContext) -> int:
    learning = context.settings.distillation
    return max(learning.rounds - learning.warmup, 0) * learning.steps


def _shifted(context: MethodContext) -> RandomView:
    return RandomView(shift=context.settings.inversion.shift, flip=context.mirror)


def _inversion_loss(
    context: MethodContext,
    objective: Objective,
    augment: RandomView,
    sample_weights: SampleWeights,
    bn_momentum: float = 0.0,
) -> InversionLoss:
    shape = context.task.spec.image_shape
    return InversionLoss(
        teacher=context.teacher,
        student=context.student,
        objective=objective,
        sample_weights=sample_weights,
        augment=augment,
        ignore_index=context.task.spec.ignore_index,
        execution=context.execution,
        bn_momentum=bn_momentum,
        patches=patch_layers(context.teacher, shape) if objective.needs("patch_entropy") else (),
    )


def _targets(context: MethodContext, buffer: ReplayBuffer) -> DrawTargets:
    """The targets that the settings select; the task draws those that do not come from the teacher."""
    drawn = Drawn(context.task, buffer)
    layouts = Layouts(drawn=drawn, teacher=context.teacher, compute=context.compute)
    kinds: dict[str, DrawTargets] = {"answers": answers, "layouts": layouts}
    return kinds.get(context.settings.inversion.targets or "", drawn)


def _with_generator(
    context: MethodContext,
    inversion_loss: InversionLoss,
    plan: InversionPlan,
    draw_targets: DrawTargets,
    end: nn.Module | None = None,
) -> GeneratorInversion:
    inversion, spec = context.settings.inversion, context.task.spec
    generator: ImageGenerator
    if draw_targets is not answers and _takes_targets(context):
        generator = ConditionalGenerator(spec.num_classes, spec.image_shape, inversion.latent, inversion.width)
    else:
        generator = LatentGenerator(spec.image_shape, inversion.latent, inversion.width, end)
    context.compute.place(generator)
    return GeneratorInversion(
        draw_targets=draw_targets,
        teacher=context.teacher,
        generator=generator,
        inversion_loss=inversion_loss,
        plan=plan,
        execution=context.execution,
    )


def _takes_targets(context: MethodContext) -> bool:
    """Whether a generator's input is the target too: by default if that is a label map, for which latents do not do."""
    conditional = context.settings.inversion.conditional
    if conditional is not None:
        return conditional
    uniform_share = torch.ones(context.task.spec.num_classes) / context.task.spec.num_classes
    return context.task.draw_targets(1, uniform_share, torch.Generator().manual_seed(0)).ndim > 1
