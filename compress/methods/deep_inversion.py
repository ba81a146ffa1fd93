"""DeepInversion: Dreaming to Distill, Data-free Knowledge Transfer via DeepInversion (Yin et al., CVPR 2020)."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.methods.assembly import optimise_pixels
from compress.methods.context import MethodContext
from compress.methods.terms import after_warmup, priors
from compress.synthesis.objective import Objective
from compress.training.augment import RandomView
from compress.training.schedules import Constant

LARGEST_ROLL = 1 / 8  # of the shorter side
DEFAULTS = {  # bn: the published weight, for some forty layers
    "inversion": {"steps": 1000, "lr_latent": 0.1, "bn": 400.0, "one_hot": 1.0, "adversarial": 1.0, "variation": 1e-3},
    "distillation": {"lr": 0.1},
}


def deep_inversion(context: MethodContext) -> Distiller:
    """Pixels optimised to match targets and the teacher's statistics, without a generator. All samples are kept.

    Adam (0.1, β 0.5 and 0.99) minimises `bn·L_bn + one_hot·L_oh + adversarial·(−JS) + 1e-3·TV`. Every step rolls the
    images by up to an eighth and mirrors them at random. The competition term −JS(T, S) at τ = 3 starts after the
    warm-up (Adaptive DeepInversion). The student minimises τ²·KL(T ‖ S) on the pool.

    Deviations: TV is computed for each image, not for the whole batch, and the L2 term (1e-5 or less) is omitted. The
    samples of a round roll independently. L_bn is averaged over layers, not summed, so a published weight of 10
    corresponds to 10 times the number of layers here. Pixels are parametrised as 0.5 + 0.25·x, because normalisation is
    part of the model. There is one resolution. In segmentation the targets are drawn label maps; the paper has
    classification only.
    """
    inversion, (_, *size) = context.settings.inversion, context.task.spec.image_shape
    objective = Objective(
        {
            **priors(context),
            "one_hot": Constant(inversion.one_hot),
            "competition": after_warmup(context),
        }
    )
    return optimise_pixels(
        context, objective, RandomView(shift=int(min(size) * LARGEST_ROLL), flip=context.mirror, wrap=True)
    )
