"""DFAD: Data-Free Adversarial Distillation (Fang et al., 2019)."""

from __future__ import annotations

from compress.distillation.distillation_loss import SameLogits
from compress.distillation.distiller import Distiller
from compress.methods.assembly import train_generator
from compress.methods.context import MethodContext
from compress.synthesis.objective import Objective
from compress.training.schedules import Constant

DEFAULTS = {
    "inversion": {"latent": 256, "lr_generator": 1e-3, "adversarial": 1.0},
    "distillation": {"rounds": 16_000, "warmup": 0, "steps": 5, "lr": 0.1},
}


def dfad(context: MethodContext) -> Distiller:
    """As ZSKT, with the mean absolute difference of the logits instead of KL, for generator and student.

    Each round maximises L1(T, S) with one generator step, then minimises it with five student steps. Unlike KL's, its
    gradient does not vanish where the two agree. The student's loss has no temperature.

    Deviations: the generator minimises −log(L1 + 1) in both tasks, as the paper does in segmentation. Its direction is
    that of −L1, and Adam is invariant to the scale. The steps of a round share images as in `dafl`. The generator is
    that of all methods here, without targets.
    """
    return train_generator(
        context, Objective({"logit_distance": Constant(context.settings.inversion.adversarial)}), SameLogits()
    )
