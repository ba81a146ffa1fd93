"""HiDFD: Hybrid Data-Free Knowledge Distillation (AAAI 2025)."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.errors import UsageError
from compress.gan.alignment import FeatureAlignment
from compress.gan.collected import InflatedBuffer
from compress.gan.features import as_feature_model
from compress.gan.inversion import GanInversion, GanPlan
from compress.gan.networks import BigGenerator, Discriminator
from compress.methods.assembly import assemble, collected_images, stairs
from compress.methods.context import MethodContext
from compress.replay.buffer import ReplayBuffer
from compress.replay.policies import Uniform, newest
from compress.training.augment import RandomView


def hidfd(context: MethodContext) -> Distiller:
    """A GAN guided by the teacher generates images from a few collected ones; the student learns features on both.

    Discriminator: max(0, 1 − D(x)) + max(0, 1 + D(G(z))) + CE(x, 2y) + CE(G(z), 2y + 1), and, weighted by
    `integration`, ‖t_r − d_r‖ + ‖t_f − d_f‖ (transfer) + ‖t_r − d_f‖ + ‖t_f − d_r‖ (blend), with t the teacher's
    penultimate features and d a linear prediction of them from the discriminator's own, so that its gradient shapes
    these. Generator: −D(G(z)) + CE(G(z), 2y) − CE(G(z), 2y + 1), and, weighted by `smoothing`, Σ_k w_k·p̄_k·log p̄_k on
    the teacher's mean prediction on the generated images, w_k = (1 − b)/(1 − b^n_k) (category frequency smoothing).
    Student: ‖projector(backbone(x)) − teacher's last map‖² on collected images, repeated `inflation` times, and
    generated ones; its classifier is the teacher's. SGD, a tenth of the rate at 150, 180 and 210 of 240 epochs.

    Readings and deviations: real and generated images are paired by label, so that blend acts within a class. The
    discriminator's input is shifted and flipped, so that it does not memorise 5,000 images. Both networks take one step
    in turn on the same generated images. A count n_k below 1 counts as 1. Images are generated again every round, not
    once.
    """
    settings, gan_settings = context.settings, context.settings.gan
    collected = collected_images(context, gan_settings.batch, settings.distillation.batch)
    if collected.labels is None:
        raise UsageError(f"hidfd is for classification only: use another method for {context.task.spec.name}")
    if settings.distillation.warmup < 1:
        raise UsageError("hidfd trains its GAN in the warm-up rounds: set distillation.warmup to 1 or more")
    teacher, spec = as_feature_model(context.teacher), context.task.spec
    as_feature_model(context.student)
    channels = teacher.features(context.compute.images(collected.images[:1])).shape[1]
    generator = BigGenerator(spec.num_classes, spec.image_shape, gan_settings.latent, gan_settings.width)
    discriminator = Discriminator(spec.num_classes, spec.image_shape, gan_settings.width, channels)
    for network in (generator, discriminator):
        context.compute.place(network)
    plan = GanPlan(
        training_rounds=settings.distillation.warmup,
        iterations=gan_settings.iterations,
        batch=gan_settings.batch,
        learning_rate=gan_settings.lr,
        decay=gan_settings.decay,
        average_from=gan_settings.average_from,
        integration=gan_settings.integration,
        smoothing=gan_settings.smoothing,
        samples=gan_settings.samples,
        augment=RandomView(shift=gan_settings.shift, flip=context.mirror),
    )
    gan = GanInversion(
        task=context.task,
        teacher=teacher,
        generator=generator,
        discriminator=discriminator,
        collected=collected,
        plan=plan,
        compute=context.compute,
    )
    generated = ReplayBuffer(gan_settings.capacity, newest, Uniform(), context.compute)
    buffer = InflatedBuffer(collected, gan_settings.inflation, generated, context.compute)
    return assemble(context, gan, buffer, FeatureAlignment(), stairs(context), keep_from=plan.training_rounds)
