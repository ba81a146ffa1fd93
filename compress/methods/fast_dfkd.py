"""FastDFKD: Up to 100x Faster Data-free Knowledge Distillation (Fang et al., AAAI 2022)."""

from __future__ import annotations

from compress.distillation.distiller import Distiller
from compress.methods.assembly import MethodContext, adapt_generator, alike, fast_terms, pool
from compress.synthesis.objective import Objective


def fast_dfkd(context: MethodContext) -> Distiller:
    """A kept generator that is adapted in a few steps a round and moved by a meta-update; every sample stays.

    Minimises `bn·L_bn + one_hot·L_oh + adversarial·L_adv` (eqs. 3 to 8) over clone and latents; the adversarial term
    begins after the warm-up. The student minimises τ²·KL(T ‖ S) on uniform draws from the pool.

    Deviations: the generator is shaped otherwise, and is told the target unless `conditional` says otherwise (see
    `ConditionalGenerator` and `LatentGenerator`); L_bn is averaged over layers, not summed, so that its weight does not
    depend on the teacher's depth; labels are balanced within a round unless `targets` says otherwise; the first layers
    are not re-initialised at round 120.
    """
    return adapt_generator(context, Objective(fast_terms(context)), alike, pool(context))
