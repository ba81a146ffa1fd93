"""How the latent generator should end: three seeds of two methods on the embedded digits.

    python tests/benchmarks/generator_endings.py

ssd-kd without φ and δ and without the target as an input of the generator, and dafl, distil timm's `test_resnet` to a
new one, as cheaply as a difference can be told. Scores are of the last round, on the 269 scans that tune settings: the
held-out ones choose nothing. dafl has a longer run too, in which it learns, for the ends in question. The teacher is
taught on its first use and cached. A run takes about 25 seconds of one thread, a long one 70, and is kept as one JSON;
a finished one is never repeated.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from short_runs import RESULTS, measured, once
from tables import markdown
from torch import nn

from compress.storage.files import write_text
from compress.synthesis.generators import LatentGenerator, Standardised

SEEDS = (0, 1, 2)
LEARNING: Mapping[str, Any] = {"batch": 32, "optimizer": "adamw", "lr": 3e-3, "weight_decay": 0.05}
ARMS: Mapping[str, Mapping[str, Any]] = {
    "ssd-kd": {
        "inversion": {"conditional": False, "samples": 16, "steps": 10, "width": 32, "lr_generator": 1e-3},
        "replay": {"phi": False, "delta": False, "capacity": 2000},
        "distillation": {**LEARNING, "rounds": 20, "warmup": 4, "steps": 15, "temperature": 4.0},
    },
    "dafl": {
        "inversion": {"samples": 32, "width": 32},
        "distillation": {**LEARNING, "rounds": 100, "warmup": 0, "steps": 2},
    },
    "dafl, longer": {
        "inversion": {"samples": 32, "width": 32},
        "distillation": {**LEARNING, "rounds": 300, "warmup": 0, "steps": 2},
    },
}


def normalised(*, affine: bool) -> nn.Module:
    """Channels normalised over the batch before the sigmoid."""
    return nn.Sequential(nn.BatchNorm2d(3, affine=affine), nn.Sigmoid())


ENDINGS: Mapping[str, Callable[[], nn.Module]] = {
    "batch normalisation": partial(normalised, affine=False),
    "convolution": nn.Sigmoid,
    "batch normalisation with scale and shift": partial(normalised, affine=True),
    # as the teachers of the embedded digits normalise their input
    "standardised": lambda: Standardised(torch.full((3,), 0.5), torch.full((3,), 0.5)),
}
"""What follows the generator's last convolution."""
COMPARED = {"dafl, longer": ("convolution", "standardised")}
"""The endings of an arm that has others than the first three."""


def ended_by(ending: Callable[[], nn.Module]) -> AbstractContextManager[object]:
    """While entered, all new latent generators end so."""
    as_it_is = LatentGenerator.__init__

    def changed(generator: LatentGenerator, *values: Any, **named: Any) -> None:
        as_it_is(generator, *values, **named)
        generator.end = ending()

    return patch.object(LatentGenerator, "__init__", changed)


def endings(arm: str) -> tuple[str, ...]:
    """Those that an arm is run with."""
    return COMPARED.get(arm, tuple(ENDINGS)[:3])


def with_ending(arm: str, ending: str, seed: int) -> dict[str, Any]:
    """One run of an arm whose generators end so."""
    with ended_by(ENDINGS[ending]):
        return {"ending": ending, "arm": arm, **measured({"method": arm.partition(",")[0], **ARMS[arm]}, seed)}


def table(runs: list[dict[str, Any]]) -> str:
    """Mean and spread of each arm over its seeds."""
    rows = []
    for name in ARMS:
        for ending in endings(name):
            arm = [run for run in runs if (run["arm"], run["ending"]) == (name, ending)]
            if arm:
                scores = [100 * run["top1"] for run in arm]
                dark = statistics.mean(run["last_round"]["mean_pixel"] for run in arm)
                spread = f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
                by_seed = ", ".join(f"{score:.1f}" for score in scores)
                rows.append([name, ending, f"{statistics.mean(scores):.1f}{spread}", by_seed, f"{dark:.2f}"])
    return markdown(["method", "after the convolution", "top-1, %", "by seed", "mean pixel of the last samples"], rows)


def main() -> None:
    """Run what is missing, then write the table."""
    torch.set_num_threads(1)
    runs = []
    for seed in SEEDS:
        for arm in ARMS:
            for ending in endings(arm):
                file = RESULTS / "endings" / f"{arm.replace(', ', '-')}-{ending.replace(' ', '-')}-seed{seed}.json"
                runs.append(once(file, partial(with_ending, arm, ending, seed)))
                write_text(RESULTS / "endings.md", table(runs))
    print(table(runs))


if __name__ == "__main__":
    main()
