"""ZSKT: Zero-shot Knowledge Transfer via Adversarial Belief Matching (Micaelli and Storkey, NeurIPS 2019)."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.methods.assembly import train_generator
from compress.methods.context import MethodContext
from compress.synthesis.objective import Objective
from compress.training.schedules import Constant

DEFAULTS = {
    "inversion": {"latent": 100, "lr_generator": 1e-3, "adversarial": 1.0},
    "distillation": {"rounds": 16_000, "warmup": 0, "steps": 5, "temperature": 1.0, "lr": 0.1},
}


def zskt(context: MethodContext) -> Distiller:
    """A generator that maximises the disagreement of student and teacher, and nothing else.

    Each round maximises KL(T ‖ S) with one generator step (algorithm 1), then minimises it with the student's steps (10
    in the paper; 5 in the comparisons of later papers and by default here). The generator has no image prior.

    Deviations: there is no attention loss between feature maps, which needs maps of the same size in teacher and
    student. The student's optimiser is `distillation.optimizer`, not the paper's Adam. The steps of a round share
    images as in `dafl`. In segmentation KL is the mean over positions; the paper has classification only.
    """
    return train_generator(context, Objective({"disagreement": Constant(context.settings.inversion.adversarial)}))
