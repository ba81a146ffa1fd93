"""The packaged recipes `digits/METHOD` of the baselines that take no image, shortened, at a cost of seconds a run.

    python tests/benchmarks/digits_recipes.py [--methods dafl ...] [--seeds 0] [--held-out]

Timm's `test_resnet` is distilled into a new one, with the loss weights of the recipe, smaller batches and a narrower
generator. Settings are chosen on the 269 scans that tune settings; `--held-out` scores on the 450 others what was
chosen. A run is kept as one JSON, and a finished one is never repeated. "Without batch normalisation" has timm's
`test_efficientnet_gn` for a student, which normalises over groups of an image's own channels.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from functools import partial
from itertools import product
from typing import Any

import torch
from short_runs import RESULTS, TUNING, measured, once
from tables import markdown

from compress.storage.files import write_text
from compress.storage.settings_files import load_config, merged

FREE = {"student": "test_efficientnet_gn"}
TRAINED: Mapping[str, Any] = {
    "inversion": {"samples": 32, "width": 32},
    "distillation": {"rounds": 100, "steps": 2, "batch": 32},
}
"""A generator that takes one step a round."""
SHORTER: Mapping[str, Mapping[str, Any]] = {
    "dafl": TRAINED,
    "zskt": TRAINED,
    "dfad": TRAINED,
    "dfq": TRAINED,
    "cmi": {"inversion": {"samples": 32, "width": 32, "steps": 30}, "distillation": {"steps": 40, "batch": 32}},
    "deep-inversion": {"inversion": {"samples": 32, "steps": 60}, "distillation": {"steps": 40, "batch": 32}},
}
ARMS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **{method: (method, {}) for method in SHORTER},
    "dafl, without batch normalisation": ("dafl", FREE),
}


def one(arm: str, seed: int, data: str) -> dict[str, Any]:
    """One run of a recipe."""
    method, changes = ARMS[arm]
    return {"arm": arm, **measured(merged(load_config(f"digits/{method}"), SHORTER[method], changes), seed, data)}


def table(runs: list[dict[str, Any]]) -> str:
    """Scores of each arm by seed, and what the samples of its last rounds were like."""
    rows = []
    for arm in ARMS:
        of_arm = [run for run in runs if run["arm"] == arm]
        if not of_arm:
            continue
        cells = [", ".join(f"{100 * run[name]:.1f}" for run in of_arm) for name in ("top1", "top1_own_statistics")]
        signs = [
            ", ".join(f"{run['last_round'].get(name, float('nan')):.3g}" for run in of_arm)
            for name in ("evenness", "bn_distance", "agreement")
        ]
        rows.append([arm, *cells, *signs, str(round(of_arm[0]["cpu_seconds"]))])
    head = ["recipe", "top-1, %, by seed", "with the scans' own batch statistics", "evenness", "distance to the "
            "teacher's statistics", "agreement", "CPU seconds"]  # fmt: skip
    return markdown(head, rows)


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(SHORTER), choices=list(SHORTER))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--held-out", action="store_true", help="score on the held-out scans, which choose nothing")
    parser.add_argument("--write-only", action="store_true", help="write the table of the runs that are kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    name, data = ("recipes-held-out", "digits") if options.held_out else ("recipes", TUNING)
    for seed, (arm, (method, _)) in product(options.seeds, ARMS.items()):
        if method in options.methods and not options.write_only:
            file = f"{arm.replace(', ', '-').replace(' ', '-')}-seed{seed}.json"
            once(RESULTS / name / file, partial(one, arm, seed, data))
    text = table([json.loads(file.read_text()) for file in sorted((RESULTS / name).glob("*.json"))])
    write_text(RESULTS / f"{name}.md", text)
    print(text)


if __name__ == "__main__":
    main()
