"""The loss terms of an inversion that methods share, with the weights of a run's settings."""

from __future__ import annotations

from compress.methods.context import MethodContext
from compress.synthesis.patch_entropy import patch_entropy_weight
from compress.training.schedules import Constant, From, Schedule


def fast_terms(context: MethodContext) -> dict[str, Schedule]:
    """FastDFKD's `bn·L_bn + one_hot·L_oh + adversarial·L_adv` (eqs. 3 to 8), which others build on."""
    one_hot = Constant(context.settings.inversion.one_hot)
    return {**priors(context), "one_hot": one_hot, "adversarial": after_warmup(context)}


def priors(context: MethodContext) -> dict[str, Schedule]:
    """The terms for images like those of the teacher's training data, whatever their class."""
    inversion = context.settings.inversion
    others = {"patch_entropy": _patch_entropy_weight(context), "variation": inversion.variation}
    return {"bn": Constant(inversion.bn), **{name: Constant(weight) for name, weight in others.items() if weight}}


def _patch_entropy_weight(context: MethodContext) -> float:
    inversion, shape = context.settings.inversion, context.task.spec.image_shape
    return patch_entropy_weight(context.teacher, shape, weight=inversion.patch_entropy, bn=inversion.bn)


def after_warmup(context: MethodContext) -> From:
    """The weight of an adversarial term: 0 during the warm-up, in which the student is untrained."""
    return From(context.settings.distillation.warmup, context.settings.inversion.adversarial)
