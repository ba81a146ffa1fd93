"""ZSKT: Zero-shot Knowledge Transfer via Adversarial Belief Matching (Micaelli and Storkey, NeurIPS 2019)."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.methods.assembly import MethodContext, train_generator
from compress.synthesis.objective import Objective
from compress.training.schedules import Constant

DEFAULTS = {
    "inversion": {"latent": 100, "lr_generator": 1e-3, "adversarial": 1.0},
    "distillation": {"rounds": 16_000, "warmup": 0, "steps": 5, "temperature": 1.0, "lr": 0.1},
}


def zskt(context: MethodContext) -> Distiller:
    """A generator that looks for where student and teacher differ, and a student that follows it there.

    One step a round up KL(T ‖ S) (algorithm 1), then the student's steps of the round (the paper: 10; the
    comparisons in later papers, and the default here: 5) down KL(T ‖ S). Nothing else tells the generator what an
    image is.

    Deviations: without the attention loss between feature maps, which needs teacher and student to have maps in
    common; the student learns by `--distillation.optimizer`, not by the paper's Adam; images are shared by the steps
    of a round as in `dafl`. In segmentation KL is the mean over positions; the paper classifies only.
    """
    return train_generator(context, Objective({"disagreement": Constant(context.settings.inversion.adversarial)}))
