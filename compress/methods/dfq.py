"""DFQ: Data-Free Network Quantization with Adversarial Knowledge Distillation (Choi et al., CVPR Workshops 2020)."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.methods.assembly import train_generator
from compress.methods.context import MethodContext
from compress.methods.terms import after_warmup, priors
from compress.synthesis.objective import Objective
from compress.training.schedules import Constant

DEFAULTS = {  # bn: the published weight times about forty layers
    "inversion": {"latent": 512, "lr_generator": 1e-3, "bn": 40.0, "one_hot": 1.0, "adversarial": 1.0, "balance": 20.0},
    "distillation": {"rounds": 8000, "warmup": 0, "steps": 10, "temperature": 1.0, "lr": 0.1},
}


def dfq(context: MethodContext) -> Distiller:
    """ZSKT's adversarial generator, regularised by the teacher's statistics, confidence and class balance.

    Each round takes one generator step on `adversarial·(−KL(T ‖ S)) + bn·L_bn + one_hot·CE(T, argmax T) + balance·Σ p̄
    log p̄` (the paper's L_1 to L_3; weights 1, 1, 1, 20 as in later comparisons), then ten student steps that minimise
    KL(T ‖ S).

    Deviations: the student is a smaller network, not a quantised one. L_bn is FastDFKD's distance of moments, averaged
    over layers, where the paper has the KL divergence between Gaussians; a published weight of 1 corresponds to the
    number of layers here. There is one generator, without a warm-up of its own. The steps of a round share images as in
    `dafl`. In segmentation all terms are means over positions; the paper has classification only.
    """
    inversion = context.settings.inversion
    objective = Objective(
        {
            "disagreement": after_warmup(context),
            **priors(context),
            "one_hot": Constant(inversion.one_hot),
            "balance": Constant(inversion.balance),
        }
    )
    return train_generator(context, objective)
