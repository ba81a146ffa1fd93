"""Plain knowledge distillation (Hinton et al., 2015) on a few real images."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.gan.collected import CollectedImages
from compress.methods.assembly import assemble, collected_images, stairs
from compress.methods.context import MethodContext
from compress.replay.buffer import ReplayBuffer, Uniform, oldest


def kd(context: MethodContext) -> Distiller:
    """Knowledge distillation on the collected images alone: the baseline for hidfd.

    τ²·KL(T ‖ S) on the collected images, shifted and flipped, with hidfd's optimiser, schedule and number of steps, but
    without its generator, projector and shared classifier. Labels are not used, so segmenters can learn from any
    photographs. `distillation.hints` adds a loss on feature maps, as in `ssd_kd`.
    """
    collected = collected_images(context, context.settings.distillation.batch)
    images = CollectedImages(collected, context.teacher, context.compute)
    buffer = ReplayBuffer(len(collected), oldest, Uniform(), context.compute)
    return assemble(context, images, buffer, rate=stairs(context))
