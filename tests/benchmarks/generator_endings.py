"""How the latent generator should end before its sigmoid: three seeds of two methods on the embedded digits.

    python tests/benchmarks/generator_endings.py

ssd-kd without φ and δ and without the target as an input of the generator, and dafl, distil timm's `test_resnet` to a
new one, as cheaply as a difference can be told. Scores are of the last round, on the 269 scans that tune settings: the
held-out ones choose nothing. The teacher is taught on its first use and cached. A run takes about 25 seconds of one
thread and is kept as one JSON; a finished one is never repeated.
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
from torch import Tensor, nn

from compress.storage.files import write_text
from compress.synthesis.generators import LatentGenerator

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
}


class Normalised(nn.Module):
    """A last convolution whose three channels are normalised over the batch."""

    def __init__(self, convolution: nn.Module, *, affine: bool) -> None:
        super().__init__()
        self.convolution, self.norm = convolution, nn.BatchNorm2d(3, affine=affine)

    def forward(self, features: Tensor) -> Tensor:
        """Images before the sigmoid, `[n, 3, h, w]`."""
        normalised: Tensor = self.norm(self.convolution(features).float())
        return normalised


ENDINGS: Mapping[str, Callable[[nn.Module], nn.Module]] = {
    "batch normalisation": partial(Normalised, affine=False),
    "convolution": lambda convolution: convolution,
    "batch normalisation with scale and shift": partial(Normalised, affine=True),
}
"""What becomes of the generator's last convolution."""


def ended_by(ending: Callable[[nn.Module], nn.Module]) -> AbstractContextManager[object]:
    """While entered, all new latent generators end so."""
    as_it_is = LatentGenerator.__init__

    def changed(generator: LatentGenerator, *values: Any, **named: Any) -> None:
        as_it_is(generator, *values, **named)
        generator.register_module("paint", ending(generator.paint))

    return patch.object(LatentGenerator, "__init__", changed)


def with_ending(method: str, ending: str, seed: int) -> dict[str, Any]:
    """One run of a method whose generators end so."""
    with ended_by(ENDINGS[ending]):
        return {"ending": ending, **measured({"method": method, **ARMS[method]}, seed)}


def table(runs: list[dict[str, Any]]) -> str:
    """Mean and spread of each arm over its seeds."""
    rows = []
    for method in ARMS:
        for ending in ENDINGS:
            arm = [run for run in runs if (run["method"], run["ending"]) == (method, ending)]
            if arm:
                scores = [100 * run["top1"] for run in arm]
                dark = statistics.mean(run["last_round"]["mean_pixel"] for run in arm)
                spread = f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
                by_seed = ", ".join(f"{score:.1f}" for score in scores)
                rows.append([method, ending, f"{statistics.mean(scores):.1f}{spread}", by_seed, f"{dark:.2f}"])
    return markdown(["method", "before the sigmoid", "top-1, %", "by seed", "mean pixel of the last samples"], rows)


def main() -> None:
    """Run what is missing, then write the table."""
    torch.set_num_threads(1)
    runs = []
    for seed in SEEDS:
        for method in ARMS:
            for ending in ENDINGS:
                file = RESULTS / "endings" / f"{method}-{ending.replace(' ', '-')}-seed{seed}.json"
                runs.append(once(file, partial(with_ending, method, ending, seed)))
                write_text(RESULTS / "endings.md", table(runs))
    print(table(runs))


if __name__ == "__main__":
    main()
