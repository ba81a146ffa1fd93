"""DAFL: Data-Free Learning of Student Networks (Chen et al., ICCV 2019)."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.methods.assembly import train_generator
from compress.methods.context import MethodContext
from compress.synthesis.objective import Objective
from compress.training.schedules import Constant

ACTIVATION = 1e-3
DEFAULTS = {
    "inversion": {"latent": 512, "lr_generator": 1e-3, "one_hot": 1.0, "balance": 20.0},
    "distillation": {"rounds": 16_000, "warmup": 0, "steps": 5, "temperature": 1.0, "lr": 0.1},
}


def dafl(context: MethodContext) -> Distiller:
    """A generator trained for confident, strongly activating and class-balanced images; it ignores the student.

    Each round takes one generator step on `one_hot·CE(T, argmax T) + 1e-3·(−mean|f|) + balance·Σ p̄ log p̄` (weights 1,
    1e-3, 20), where f is the input of the teacher's last layer and p̄ its mean prediction over the batch. Then the
    student minimises KL(T ‖ S) for five steps on images generated for this round. No samples are kept.

    Deviations: the student's steps share images that are generated once a round, drawn with replacement and randomly
    shifted, instead of new images for each step. Adam's β₁ is 0.5. The generator is that of all methods here, without
    targets. In segmentation f is a map, and p̄ is a mean over positions too; the paper has classification only.
    """
    inversion = context.settings.inversion
    objective = Objective(
        {
            "one_hot": Constant(inversion.one_hot),
            "activation": Constant(ACTIVATION),
            "balance": Constant(inversion.balance),
        }
    )
    return train_generator(context, objective)
