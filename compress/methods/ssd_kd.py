"""SSD-KD: Small Scale Data-Free Knowledge Distillation (Liu et al., CVPR 2024)."""

from __future__ import annotations

from torch import Tensor

from compress.distillation.distiller import Distiller
from compress.methods.assembly import adapt_generator, alike
from compress.methods.context import MethodContext
from compress.methods.terms import fast_terms
from compress.replay.balance import balance, rescaled
from compress.replay.buffer import ReplayBuffer
from compress.replay.policies import Balanced, Prioritised, Uniform, newest
from compress.synthesis.objective import Objective
from compress.task import Statistics


def ssd_kd(context: MethodContext) -> Distiller:
    """FastDFKD with a small replay buffer: φ weights and selects the samples, δ is their sampling priority.

    φ(x) = (1 − n_c(x)/|B|)·(1 − p_T(x))^γ weights the per-sample terms of the inversion, rescaled to mean 1 in a batch.
    It also orders admission: of old and new samples together, those with the lowest φ are dropped. δ_i = w_{i−1}·KL(T ‖
    S) is the priority of a sample, P_i = (|δ_i| + ε)/Σ(|δ| + ε) its probability, w_i = (N·P_i)^−β its importance weight
    in the loss.

    No code of the paper is public, and its equations were not accessible: both formulas are our reading of its text and
    figures. So read, they have not made better students (docs/results.md), and `fast-dfkd`, which is this method
    without them, is the default. Deviations from FastDFKD, on which it is built, are those of `fast_dfkd`.
    `distillation.hints`, 0 unless a recipe sets it, adds a loss on feature maps that the paper does not have (see
    `Hints`).
    """
    replay = context.settings.replay
    gamma = replay.gamma
    keep = Balanced(gamma) if replay.phi else newest
    draw = Prioritised(replay.beta) if replay.delta else Uniform()
    buffer = ReplayBuffer(replay.capacity, keep, draw, context.compute)

    def phi(statistics: Statistics) -> Tensor:
        share = buffer.class_share if len(buffer) else statistics.histogram.mean(dim=0)
        return rescaled(balance(statistics, share, gamma))

    return adapt_generator(context, Objective(fast_terms(context)), phi if replay.phi else alike, buffer)
