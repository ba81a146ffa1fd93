"""DFAD: Data-Free Adversarial Distillation (Fang et al., 2019)."""

from __future__ import annotations

from compress.distillation.distillation_loss import SameLogits
from compress.distillation.distiller import Distiller
from compress.methods.assembly import MethodContext, train_generator
from compress.synthesis.objective import Objective
from compress.training.schedules import Constant

DEFAULTS = {
    "inversion": {"latent": 256, "lr_generator": 1e-3, "adversarial": 1.0},
    "distillation": {"rounds": 16_000, "warmup": 0, "steps": 5, "lr": 0.1},
}


def dfad(context: MethodContext) -> Distiller:
    """As ZSKT, with the mean absolute difference of the logits in place of KL, for generator and student alike.

    One step a round up L1(T, S), then five student steps down it: unlike KL's, its gradient does not
    fade where the two agree. The loss of the student has no temperature.

    Deviations: the generator minimises −log(L1 + 1) in both tasks, as the paper does in segmentation: the direction is
    that of −L1, and Adam does not feel the scale; images are shared by the steps of a round as in `dafl`; the
    generator is that of all methods here, without the target.
    """
    return train_generator(
        context, Objective({"logit_distance": Constant(context.settings.inversion.adversarial)}), SameLogits()
    )
