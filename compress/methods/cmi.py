"""CMI: Contrastive Model Inversion for Data-Free Knowledge Distillation (Fang et al., IJCAI 2021)."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.methods.assembly import renew_generator
from compress.methods.context import MethodContext
from compress.methods.terms import fast_terms
from compress.synthesis.objective import Objective
from compress.training.schedules import Constant

INSTANCE = 0.8
DEFAULTS = {  # bn: the published weight times about forty layers
    "inversion": {
        "steps": 200,
        "lr_generator": 1e-3,
        "lr_latent": 1e-3,
        "bn": 40.0,
        "one_hot": 0.5,
        "adversarial": 0.5,
    },
    "distillation": {"lr": 0.1},
}


def cmi(context: MethodContext) -> Distiller:
    """A new generator every round, with a contrastive term that makes images distinguishable. All samples are kept.

    A round takes 200 to 500 steps on `bn·L_bn + one_hot·L_oh + adversarial·L_adv + 0.8·L_cr`: the first three as in
    `fast_dfkd`, which builds on this method. L_cr (see `InstanceDiscrimination`) is the cross-entropy of identifying
    the image that a crop came from, among 4,096 remembered images and the batch. The student minimises τ²·KL(T ‖ S) on
    the pool.

    Deviations: the generator is that of `fast_dfkd`. L_bn is averaged over layers, not summed, so a published weight of
    1 corresponds to the number of layers here. The memory holds features of the images of a round's last step, which
    the head embeds again in every step. Remembered images are not drawn as crops themselves. The teacher needs batch
    normalisation. Segmentation uses the same channel means as features; the paper has classification only.
    """
    return renew_generator(context, Objective({**fast_terms(context), "instance": Constant(INSTANCE)}))
