"""What SSD-KD's φ and δ are worth on the embedded digits, without hints, in small buffers.

    python tests/benchmarks/ssd_kd_arms.py [--arms ARM ...] [--capacities 54 272] [--seeds 0 1 2]

Timm's `test_resnet` is distilled into a new one in 600 steps of 32; scores are of the last round, on the 269 scans that
tune settings. A run makes 544 samples, of which the buffer holds a tenth or a half. It takes under a minute of one
thread, and is kept as one JSON; a finished one is never repeated. The paper's equations could not be read, so that
other readings of them are arms too.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import torch
from short_runs import RESULTS, measured, once
from tables import markdown
from torch import Tensor

from compress.distillation.distiller import Distiller
from compress.methods.assembly import adapt_generator, alike
from compress.methods.context import MethodContext
from compress.methods.terms import fast_terms
from compress.replay.balance import balance, rescaled
from compress.replay.buffer import Draw, ReplayBuffer
from compress.replay.policies import DrawPolicy, Keep, Prioritised, Uniform, newest
from compress.storage.files import write_text
from compress.storage.settings_files import merged
from compress.synthesis.objective import Objective
from compress.task import Statistics

SHARED: Mapping[str, Any] = {
    "method": "ssd-kd",
    "inversion": {"samples": 16, "steps": 10, "width": 32, "lr_generator": 1e-3, "conditional": False},
    "distillation": {
        "rounds": 34, "warmup": 4, "steps": 20, "batch": 32, "temperature": 4.0, "optimizer": "adamw", "lr": 3e-3,
        "weight_decay": 0.05,
    },
}  # fmt: skip
CAPACITIES = (54, 272)


def by_frequency(found: Statistics, share: Tensor, gamma: float) -> Tensor:
    """φ with the inverse frequency of a sample's class in place of one minus it, `[n]`."""
    rarity = found.histogram @ (1 / share.clamp(min=1e-3))
    return rarity * balance(found, torch.zeros_like(share), gamma)


@dataclass(frozen=True)
class Raised:
    """Prioritised replay: P ∝ (KL + ε)^0.6, weights (N·P)^−β over the largest of a draw (Schaul et al. 2016, 3.4)."""

    beta: float = 0.5

    def probabilities(self, priorities: Tensor) -> Tensor:
        """`[n]`, summing to 1."""
        raised = (priorities + 1e-3) ** 0.6
        return raised / raised.sum()

    def weights(self, probabilities: Tensor, size: int) -> Tensor:
        """`[n]`, at most 1 for the least probable of a draw."""
        weights = (size * probabilities) ** -self.beta
        return weights / weights.max()


class WithoutRecursion(ReplayBuffer):
    """A buffer whose priorities are the divergences themselves, not times the weight of the draw before."""

    def refresh(self, drawn: Draw, divergence: Tensor, step_taken: Tensor) -> None:
        """See `Buffer`."""
        super().refresh(replace(drawn, weights=torch.ones_like(drawn.weights)), divergence, step_taken)


@dataclass(frozen=True)
class Arm:
    """One reading: what weighs the inversion, what the buffer keeps, and how the student draws."""

    weighs: bool = False
    admits: bool = False
    gamma: float = 2.0
    phi: Callable[[Statistics, Tensor, float], Tensor] = balance
    draw: DrawPolicy | None = None
    buffer: type[ReplayBuffer] = ReplayBuffer
    warmup_kept: bool = True

    def __call__(self, context: MethodContext) -> Distiller:
        """The recipe."""
        keep: Keep = self._of_candidates if self.admits else newest
        buffer = self.buffer(context.settings.replay.capacity, keep, self.draw or Uniform(), context.compute)
        weights = partial(self._of_batch, buffer) if self.weighs else alike
        distiller = adapt_generator(context, Objective(fast_terms(context)), weights, buffer)
        if not self.warmup_kept:
            distiller.plan = replace(distiller.plan, keep_from=context.settings.distillation.warmup)
        return distiller

    def _of_candidates(self, found: Statistics, arrival: Tensor, share: Tensor) -> Tensor:
        return self.phi(found, share, self.gamma)

    def _of_batch(self, buffer: ReplayBuffer, found: Statistics) -> Tensor:
        share = buffer.class_share if len(buffer) else found.histogram.mean(dim=0)
        return rescaled(self.phi(found, share, self.gamma))


DELTA = Prioritised(0.5)
BOTH = Arm(weighs=True, admits=True, draw=DELTA)
ARMS: Mapping[str, tuple[str, Arm]] = {
    "fifo": ("first in, first out", Arm()),
    "phi": ("φ alone", Arm(weighs=True, admits=True)),
    "delta": ("δ alone", Arm(draw=DELTA)),
    "both": ("φ and δ, as read", BOTH),
    "barred": ("both, without the samples of the warm-up", replace(BOTH, warmup_kept=False)),
    "gamma-half": ("both, γ = 0.5", replace(BOTH, gamma=0.5)),
    "admission": ("both, φ admits only", replace(BOTH, weighs=False)),
    "frequency": ("both, φ of inverse frequency", replace(BOTH, phi=by_frequency)),
    "raised": (
        "both, δ = KL^0.6 without recursion, weights over the largest",
        replace(BOTH, draw=Raised(), buffer=WithoutRecursion),
    ),
    "raised-alone": ("the same δ, no φ", Arm(draw=Raised(), buffer=WithoutRecursion)),
}


def table(runs: list[dict[str, Any]]) -> str:
    """Top-1 of each arm, by capacity and seed, also with the batch statistics of uniform draws."""
    rows = []
    for arm, (name, _) in ARMS.items():
        cells = []
        for capacity, score in product(CAPACITIES, ("top1", "top1_uniform_statistics")):
            scores = [100 * run[score] for run in runs if (run["arm"], run["capacity"]) == (arm, capacity)]
            spread = f": {statistics.mean(scores):.1f} ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
            cells.append(", ".join(f"{score:.1f}" for score in scores) + spread)
        if any(cells):
            rows.append([name, *cells])
    heads = [
        f"{capacity} held{statistics_of}" for capacity in CAPACITIES for statistics_of in ("", ", uniform statistics")
    ]
    return markdown(["arm", *heads], rows)


def one(arm: str, capacity: int, seed: int) -> dict[str, Any]:
    """One run."""
    changes = merged(SHARED, {"replay": {"capacity": capacity}})
    return {"arm": arm, "capacity": capacity, **measured(changes, seed, ARMS[arm][1])}


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--capacities", type=int, nargs="+", default=list(CAPACITIES), choices=CAPACITIES)
    parser.add_argument("--write-only", action="store_true", help="write the table of the runs that are kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for capacity, seed, arm in product(options.capacities, options.seeds, options.arms):
        if not options.write_only:
            once(RESULTS / "arms" / f"{arm}-{capacity}-seed{seed}.json", partial(one, arm, capacity, seed))
    text = table([json.loads(file.read_text()) for file in sorted((RESULTS / "arms").glob("*.json"))])
    write_text(RESULTS / "arms.md", text)
    print(text)


if __name__ == "__main__":
    main()
