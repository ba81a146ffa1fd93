"""DFQ: Data-Free Network Quantization with Adversarial Knowledge Distillation (Choi et al., CVPR Workshops 2020)."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.methods.assembly import MethodContext, after_warmup, train_generator
from compress.synthesis.objective import Objective
from compress.training.schedules import Constant

DEFAULTS = {  # bn: the published weight, for some forty layers
    "inversion": {"latent": 512, "lr_generator": 1e-3, "bn": 40.0, "one_hot": 1.0, "adversarial": 1.0, "balance": 20.0},
    "distillation": {"rounds": 8000, "warmup": 0, "steps": 10, "temperature": 1.0, "lr": 0.1},
}


def dfq(context: MethodContext) -> Distiller:
    """ZSKT's adversary, held to images by the teacher's statistics, its certainty and the evenness of its answers.

    One step a round on `adversarial·(−KL(T ‖ S)) + bn·L_bn + one_hot·CE(T, argmax T) + balance·Σ p̄ log p̄` (the
    paper's L_1 to L_3; weights 1, 1, 1, 20 as in later comparisons), then ten student steps down KL(T ‖ S).

    Deviations: the student is a smaller network, not a quantised one; L_bn is FastDFKD's distance of moments, averaged
    over layers, where the paper has the KL divergence between Gaussians, so that a published weight of 1 is here 1
    times the number of layers; one generator, no warm-up of its own; images are shared by the steps of a round as in
    `dafl`. In segmentation all terms are means over positions; the paper classifies only.
    """
    wanted = context.settings.inversion
    objective = Objective(
        {
            "disagreement": after_warmup(context),
            "bn": Constant(wanted.bn),
            "one_hot": Constant(wanted.one_hot),
            "balance": Constant(wanted.balance),
        }
    )
    return train_generator(context, objective)
