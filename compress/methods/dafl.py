"""DAFL: Data-Free Learning of Student Networks (Chen et al., ICCV 2019)."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.methods.assembly import MethodContext, train_generator
from compress.synthesis.objective import Objective
from compress.training.schedules import Constant

ACTIVATION = 1e-3
DEFAULTS = {
    "inversion": {"latent": 512, "lr_generator": 1e-3, "one_hot": 1.0, "balance": 20.0},
    "distillation": {"rounds": 16_000, "warmup": 0, "steps": 5, "temperature": 1.0, "lr": 0.1},
}


def dafl(context: MethodContext) -> Distiller:
    """A generator whose images the teacher is sure of, strongly excited by and evenly divided on; no adversary.

    One step a round on `one_hot·CE(T, argmax T) + 1e-3·(−mean|f|) + balance·Σ p̄ log p̄` (weights 1, 1e-3,
    20), f being what enters the teacher's last layer and p̄ its mean prediction over the batch; then the student
    minimises KL(T ‖ S) on images made for its five steps of the round. Nothing is pooled.

    Deviations: the student's steps share images that the generator makes once a round, drawn with replacement and
    moved at random, instead of new ones each; Adam's β₁ is 0.5, and the generator is that of all methods here, without
    the target. In segmentation f is a map and p̄ the mean over positions too; the paper classifies only.
    """
    wanted = context.settings.inversion
    objective = Objective(
        {
            "one_hot": Constant(wanted.one_hot),
            "activation": Constant(ACTIVATION),
            "balance": Constant(wanted.balance),
        }
    )
    return train_generator(context, objective)
