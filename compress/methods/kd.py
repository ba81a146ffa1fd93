"""Plain knowledge distillation (Hinton et al., 2015) on a few real images."""

from __future__ import annotations

from compress.collected import CollectedImages
from compress.distiller import Distiller
from compress.features import as_feature_model
from compress.lessons import SoftLabels
from compress.methods.recipe import Ingredients, collected_images, stairs_plan
from compress.optimizers import make_optimizer
from compress.replay import ReplayBuffer, Uniform, oldest


def kd(given: Ingredients) -> Distiller:
    """Knowledge distillation on the collected images alone: the control of hidfd.

    τ²·KL(T ‖ S) on the collected images, shifted and flipped, with hidfd's optimiser, schedule and number of steps and
    without its generator, its projector and its shared classifier. Labels are not used.
    """
    learning = given.settings.distillation
    collected = collected_images(given, learning.batch)
    return Distiller(
        given.task,
        given.teacher,
        given.student,
        CollectedImages(collected, as_feature_model(given.teacher), given.compute),
        ReplayBuffer(len(collected), oldest, Uniform()),
        make_optimizer(learning.optimizer, given.student, learning.lr, learning.weight_decay),
        stairs_plan(given, SoftLabels(learning.temperature)),
        given.compute,
        given.randomness,
    )
