"""CMI: Contrastive Model Inversion for Data-Free Knowledge Distillation (Fang et al., IJCAI 2021)."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.methods.assembly import MethodContext, fast_terms, renew_generator
from compress.synthesis.objective import Objective
from compress.training.schedules import Constant

INSTANCE = 0.8
DEFAULTS = {  # bn: the published weight, for some forty layers
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
    """A new generator for every batch, with a term that wants every image to be told from all others; all stay.

    A round takes 200 to 500 steps on `bn·L_bn + one_hot·L_oh + adversarial·L_adv + 0.8·L_cr`: the first three as in
    `fast_dfkd`, which came of this method; L_cr (see `InstanceDiscrimination`) finds the image that a crop
    came from among 4,096 remembered ones and the batch. The student minimises τ²·KL(T ‖ S) on the pool.

    Deviations: the generator is that of `fast_dfkd`; L_bn is averaged over layers, not summed, so
    a published weight of 1 is here 1 times the number of layers; remembered are the images of a round's last step, as
    descriptions that the head embeds anew; remembered images are not themselves drawn as crops. Needs a teacher with
    batch normalisation. In segmentation an image is described by the same channel means; the paper classifies only.
    """
    return renew_generator(context, Objective({**fast_terms(context), "instance": Constant(INSTANCE)}))
