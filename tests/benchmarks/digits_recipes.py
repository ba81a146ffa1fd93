"""The packaged recipes `digits/METHOD` of the baselines that take no image, from timm's `test_resnet` to a new one.

    python tests/benchmarks/digits_recipes.py [--methods dafl ...] [--seeds 0 1 2]

Recipes were chosen on the 269 scans that tune settings; the 450 held-out ones choose nothing. A run takes one to four
minutes of one thread and is kept as one JSON; a finished one is never repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
from functools import partial
from itertools import product
from typing import Any

import torch
from short_runs import RESULTS, measured, once
from tables import markdown

from compress.storage.files import write_text
from compress.storage.settings_files import load_config

METHODS = ("dafl", "zskt", "dfad", "dfq", "cmi", "deep-inversion")


def table(runs: list[dict[str, Any]]) -> str:
    """Scores of each recipe by seed, and what the samples of its last rounds were like."""
    rows = []
    for method in METHODS:
        of_method = [run for run in runs if run["method"] == method]
        if not of_method:
            continue
        held_out = [100 * run["top1_held_out"] for run in of_method]
        scores = [", ".join(f"{100 * run[name]:.1f}" for run in of_method) for name in ("top1", "top1_own_statistics")]
        signs = [
            ", ".join(f"{run['last_round'].get(name, float('nan')):.3g}" for run in of_method)
            for name in ("evenness", "bn_distance", "agreement")
        ]
        by_seed = ", ".join(f"{score:.1f}" for score in held_out)
        seconds = str(round(of_method[0]["cpu_seconds"]))
        rows.append([method, f"{statistics.mean(held_out):.1f}", by_seed, *scores, *signs, seconds])
    head = ["recipe", "top-1, %, held-out", "by seed", "tuning scans", "with their own batch statistics", "evenness",
            "distance to the teacher's statistics", "agreement", "CPU seconds"]  # fmt: skip
    return markdown(head, rows)


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--write-only", action="store_true", help="write the table of the runs that are kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed, method in product(options.seeds, options.methods):
        if not options.write_only:
            recipe = partial(measured, load_config(f"digits/{method}"), seed)
            once(RESULTS / "recipes" / f"{method}-seed{seed}.json", recipe)
    text = table([json.loads(file.read_text()) for file in sorted((RESULTS / "recipes").glob("*.json"))])
    write_text(RESULTS / "recipes.md", text)
    print(text)


if __name__ == "__main__":
    main()
