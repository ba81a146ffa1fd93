"""Plain knowledge distillation (Hinton et al., 2015) on a few real images."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.gan.collected import CollectedImages, answered
from compress.gan.curation import draw_shares
from compress.methods.assembly import assemble, collected_images, stairs
from compress.methods.context import MethodContext
from compress.replay.buffer import ReplayBuffer
from compress.replay.policies import Fixed, oldest


def kd(context: MethodContext) -> Distiller:
    """Knowledge distillation on the collected images alone: the baseline for hidfd.

    τ²·KL(T ‖ S) on the collected images, shifted and flipped, with hidfd's optimiser, schedule and number of steps, but
    without its generator, projector and shared classifier. Labels are not used, so photographs of anything serve: draws
    are evened out over the classes that the teacher sees in them, and `distillation.collected_confident` leaves out
    those that it is unsure of. `distillation.hints` adds a loss on feature maps, as in `ssd_kd`.
    """
    learning = context.settings.distillation
    collected = collected_images(context, learning.batch)
    samples = answered(collected, context.teacher, context.compute)
    shares = draw_shares(samples.statistics, even=learning.collected_even, confident=learning.collected_confident)
    buffer = ReplayBuffer(len(collected), oldest, Fixed(shares), context.compute)
    return assemble(context, CollectedImages(samples), buffer, rate=stairs(context))
