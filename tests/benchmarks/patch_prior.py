"""What the prior of patch similarities is worth for a vision transformer as teacher: three seeds on the digits.

    python tests/benchmarks/patch_prior.py

timm's `test_vit` (patches of 16 pixels, so four in a digit) is taught in 400 steps of 64 images and kept in the work
folder. fast-dfkd distils it to a new `test_vit`, with and without the prior, and with the target as an input of the
generator, everything else alike. Scores are of the last round, on the 269 scans that settings may be chosen on and on
the 450 held-out ones. A run takes 45 seconds of one thread and is kept as one JSON; a finished one is never repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tables import markdown

from compress.methods import find_method
from compress.methods.context import MethodContext
from compress.runs.evaluation import evaluate
from compress.runs.models import new_model
from compress.settings import DistillSettings
from compress.storage.files import write_text
from compress.storage.settings_files import merged, validated
from compress.tasks import held_out_of, make_task
from compress.tasks.data import open_data
from compress.tasks.models.model_folder import load_model

RESULTS = Path(__file__).parent / "results" / "digits"
NETWORK = "test_vit"
LESSON = f"teach --teacher {NETWORK} --data digits-tuning --steps 400 --batch 64 --device cpu --precision fp32".split()
"""Both data sets have the same training scans."""
SETTINGS: Mapping[str, Any] = {
    "method": "fast-dfkd", "device": "cpu", "precision": "fp32",
    "inversion": {"samples": 32, "steps": 5, "width": 32, "lr_generator": 5e-4, "conditional": False},
    "replay": {"capacity": 2000},
    "distillation": {
        "rounds": 44, "warmup": 4, "steps": 20, "batch": 32, "temperature": 4.0, "optimizer": "adamw", "lr": 1e-3,
        "weight_decay": 0.05,
    },
}  # fmt: skip
ARMS: Mapping[str, Mapping[str, Any]] = {
    "without": {"inversion": {"patch_entropy": 0.0}},
    "with": {},
    "with-target-an-input": {"inversion": {"conditional": True}},
}


def taught(work: Path) -> Path:
    """The folder of the teacher, which is taught if it is not there yet."""
    folder = work / "teacher"
    if not (folder / "README.md").is_file():  # this file is written last
        subprocess.run([sys.executable, "-m", "compress", *LESSON, "--out", folder, "--overwrite"], check=True)
    return folder


def measured(arm: str, seed: int, folder: Path) -> dict[str, Any]:
    """One run: the scores of student and teacher on either side, and the numbers of the last round."""
    sides = {name: open_data(name, "classification") for name in ("digits-tuning", "digits")}
    source, teacher = sides["digits"], load_model(folder)[0]
    changes = merged(SETTINGS, ARMS[arm], {"seed": seed})
    settings = validated(DistillSettings, changes)
    student, started = new_model(NETWORK, source, seed), time.process_time()
    context = MethodContext.of(make_task(source, None), teacher, student, settings, mirror=source.mirror)
    distiller, last = find_method(settings.method).build(context), dict[str, float]()
    distiller.run(lambda done: last.update(done.numbers))
    seconds = time.process_time() - started
    scores = {
        name: [evaluate(each.eval(), held_out_of(side), context.compute).headline for each in (student, teacher)]
        for name, side in sides.items()
    }
    return {
        "arm": arm, "seed": seed,
        "top1": {name: mine for name, (mine, _) in scores.items()},
        "teacher_top1": {name: theirs for name, (_, theirs) in scores.items()},
        "cpu_seconds": round(seconds, 1), "last_round": last, "settings": changes, "torch": torch.__version__,
    }  # fmt: skip


def table(runs: list[dict[str, Any]]) -> str:
    """The share of the teacher's score that each arm keeps on either side, mean and by seed."""
    rows = []
    for arm in ARMS:
        kept = [
            [100 * run["top1"][data] / run["teacher_top1"][data] for run in runs if run["arm"] == arm]
            for data in ("digits-tuning", "digits")
        ]
        if kept[0]:
            cells = [(f"{statistics.mean(side):.1f}", ", ".join(f"{share:.1f}" for share in side)) for side in kept]
            rows.append([arm.replace("-", ", ", 1), *(cell for pair in cells for cell in pair)])
    return markdown(
        ["prior of patches", "kept, %, tuning scans", "by seed", "kept, %, held-out scans", "by seed"], rows
    )


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks/patch_prior"), help="folder of the teacher")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options, runs = parser.parse_args(), list[dict[str, Any]]()
    torch.set_num_threads(1)
    folder = taught(options.work)
    for seed in options.seeds:
        for arm in ARMS:
            file = RESULTS / "patch-prior" / f"{arm}-seed{seed}.json"
            if not file.is_file():
                write_text(file, json.dumps(measured(arm, seed, folder), indent=1) + "\n")
            runs.append(json.loads(file.read_text()))
            write_text(RESULTS / "patch-prior.md", table(runs))
            print(table(runs), flush=True)


if __name__ == "__main__":
    main()
