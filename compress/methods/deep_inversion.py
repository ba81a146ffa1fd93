"""DeepInversion: Dreaming to Distill, Data-free Knowledge Transfer via DeepInversion (Yin et al., CVPR 2020)."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.methods.assembly import MethodContext, after_warmup, optimise_pixels
from compress.synthesis.objective import Objective
from compress.training.augment import RandomView
from compress.training.schedules import Constant

VARIATION = 1e-3
LARGEST_ROLL = 1 / 8  # of the shorter side
DEFAULTS = {  # bn: the published weight, for some forty layers
    "inversion": {"steps": 1000, "lr_latent": 0.1, "bn": 400.0, "one_hot": 1.0, "adversarial": 1.0},
    "distillation": {"lr": 0.1},
}


def deep_inversion(context: MethodContext) -> Distiller:
    """Noise that is bent, pixel by pixel, to drawn targets and the teacher's statistics; every sample stays.

    A round descends with Adam (0.1, β 0.5 and 0.99) on `bn·L_bn + one_hot·L_oh + adversarial·(−JS) + 1e-3·TV`,
    the images rolled by up to an eighth and mirrored in every step; the competition term −JS(T, S) at
    τ = 3 begins after the warm-up (Adaptive DeepInversion). The student minimises τ²·KL(T ‖ S) on the pool.

    Deviations: TV is taken for each image, not for the batch as one, and the L2 term (1e-5 or less) is left out;
    samples of a round roll independently; L_bn is averaged over layers, not summed, so a published weight of 10 is here
    10 times the number of layers; pixels move on the fixed scale 0.5 + 0.25·x, since the normalisation is the model's
    own; one resolution. In segmentation the targets are drawn label maps; the paper classifies only.
    """
    wanted, (_, *size) = context.settings.inversion, context.task.spec.image_shape
    objective = Objective(
        {
            "bn": Constant(wanted.bn),
            "one_hot": Constant(wanted.one_hot),
            "competition": after_warmup(context),
            "variation": Constant(VARIATION),
        }
    )
    return optimise_pixels(context, objective, RandomView(int(min(size) * LARGEST_ROLL), context.mirror, wrap=True))
