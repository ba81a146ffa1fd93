"""What SSD-KD's φ and δ are worth on the embedded digits, without hints, in small buffers.

    python tests/benchmarks/ssd_kd_arms.py [--arms fifo phi delta both] [--capacities 32] [--seeds 0 1 2]

Timm's `test_resnet` is distilled into a new one; scores are of the last round, on the 269 scans that tune settings. A
run makes 320 samples, of which the buffer holds 160, 32 or 8: a half, a tenth and a fortieth. It takes 20 seconds of
one thread, and is kept as one JSON; a finished one is never repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping
from functools import partial
from itertools import product
from typing import Any

import torch
from short_runs import RESULTS, measured, once
from tables import markdown

from compress.storage.files import write_text
from compress.storage.settings_files import merged

SHARED: Mapping[str, Any] = {
    "method": "ssd-kd",
    "inversion": {"samples": 16, "steps": 10, "width": 32, "lr_generator": 1e-3},
    "distillation": {
        "rounds": 20, "warmup": 4, "steps": 15, "batch": 32, "temperature": 4.0, "optimizer": "adamw", "lr": 3e-3,
        "weight_decay": 0.05,
    },
}  # fmt: skip
ARMS: Mapping[str, Mapping[str, Any]] = {
    "first in, first out": {"phi": False, "delta": False},
    "φ alone": {"phi": True, "delta": False},
    "δ alone": {"phi": False, "delta": True},
    "φ and δ": {"phi": True, "delta": True},
    "φ with γ = 0.5": {"phi": True, "delta": False, "gamma": 0.5},
    "δ with β = 0.2": {"phi": False, "delta": True, "beta": 0.2},
}
FILES = dict(zip(ARMS, ("fifo", "phi", "delta", "both", "phi-gamma-half", "delta-beta-fifth"), strict=True))
CAPACITIES = (32, 160, 8)


def table(runs: list[dict[str, Any]]) -> str:
    """Top-1 of each arm, by capacity."""
    rows = []
    for arm in ARMS:
        cells = []
        for capacity in sorted(CAPACITIES):
            scores = [100 * run["top1"] for run in runs if (run["arm"], run["capacity"]) == (arm, capacity)]
            spread = f": {statistics.mean(scores):.1f} ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
            cells.append(", ".join(f"{score:.1f}" for score in scores) + spread)
        if any(cells):
            rows.append([arm, *cells])
    return markdown(["arm", *(f"{capacity} samples held" for capacity in sorted(CAPACITIES))], rows)


def one(arm: str, capacity: int, seed: int) -> dict[str, Any]:
    """One run."""
    changes = merged(SHARED, {"replay": {**ARMS[arm], "capacity": capacity}})
    return {"arm": arm, "capacity": capacity, **measured(changes, seed)}


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=list(FILES.values()), choices=list(FILES.values()))
    parser.add_argument("--capacities", type=int, nargs="+", default=list(CAPACITIES), choices=CAPACITIES)
    parser.add_argument("--write-only", action="store_true", help="write the table of the runs that are kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for capacity, seed, arm in product(options.capacities, options.seeds, ARMS):
        if FILES[arm] in options.arms and not options.write_only:
            once(RESULTS / "arms" / f"{FILES[arm]}-{capacity}-seed{seed}.json", partial(one, arm, capacity, seed))
    text = table([json.loads(file.read_text()) for file in sorted((RESULTS / "arms").glob("*.json"))])
    write_text(RESULTS / "arms.md", text)
    print(text)


if __name__ == "__main__":
    main()
