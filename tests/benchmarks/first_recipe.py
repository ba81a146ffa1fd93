"""What decides how much the first command's segmentation student keeps: one arm of its recipe at a time.

    python tests/benchmarks/first_recipe.py [ARM]... [--work DIR]

Every arm changes the packaged recipe `digit-scenes/ssd-kd` of 60 rounds, and is scored on the scans that tune settings:
the held-out ones choose nothing. One seed, so that differences of less than two points say little. The arm `real
scenes` distils the same student on 600 scenes of the training side, which a user without data does not have: the bound.
A run takes about four minutes on two idle virtual cores, is kept as one JSON, and is never repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from PIL import Image
from tables import markdown

from compress.storage.files import write_text
from compress.storage.settings_files import merged
from compress.tasks.data.digits import digit_scenes

RESULTS = Path(__file__).parent / "results" / "first" / "recipe"
REAL_SCENES = 600
BASE: Mapping[str, Any] = {"extends": "digit-scenes/ssd-kd", "distillation": {"rounds": 60}}
REAL: Mapping[str, Any] = {
    "method": "kd",
    "student": "deeplabv3plus:tu-resnet10t:3x64",
    "distillation": {
        "rounds": 54, "warmup": 0, "steps": 14, "batch": 16, "temperature": 1.0, "hints": 1.0, "optimizer": "adamw",
        "lr": 2e-3, "weight_decay": 0.05, "shift": 6, "shuffle_channels": True, "inherit": True, "dropout": True,
        "collected_even": False,
    },
}  # fmt: skip
ARMS: Mapping[str, Mapping[str, Any]] = {
    "with dropout": merged(BASE, {"distillation": {"dropout": True}}),
    "with dropout, without φ and δ": merged(
        BASE, {"distillation": {"dropout": True}, "replay": {"phi": False, "delta": False}}
    ),
    "with dropout, CutMix": merged(BASE, {"distillation": {"dropout": True, "mix": "cutmix"}}),
    "with dropout, layouts of earlier samples as targets": merged(
        BASE, {"distillation": {"dropout": True}, "inversion": {"targets": "layouts"}}
    ),
    "without dropout": BASE,
    "36 rounds of 14 steps of inversion": merged(
        BASE, {"distillation": {"rounds": 36, "warmup": 4, "steps": 24}, "inversion": {"steps": 14}}
    ),
    "16 samples of 5 steps of inversion": merged(BASE, {"inversion": {"samples": 16, "steps": 5}}),
    "bn 3": merged(BASE, {"inversion": {"bn": 3.0}}),
    "bn 1": merged(BASE, {"inversion": {"bn": 1.0}}),
    "real scenes": REAL,
}


def measured(arm: str, work: Path) -> dict[str, Any]:
    """One run of an arm: its scores and the numbers of its last round."""
    folder = work / arm.replace(" ", "-").replace(",", "")
    settings = folder.with_suffix(".yaml")
    write_text(settings, yaml.safe_dump(json.loads(json.dumps(ARMS[arm]))))
    command = [sys.executable, "-m", "compress", "distill", "--task", "segmentation", "--teacher", "deeplabv3"]
    command += ["--data", "digit-scenes-tuning", "--config", str(settings), "--out", str(folder), "--overwrite"]
    if arm == "real scenes":
        command += ["--collected", str(real_scenes(work / "scenes"))]
    subprocess.run(command, check=True)
    report = json.loads((folder / "report.json").read_text())
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    teacher, student = report["teacher"]["miou"], report["student"]["miou"]
    return {
        "arm": arm,
        "teacher": teacher,
        "student": student,
        "kept": student / teacher,
        "seconds": report["seconds"],
        "last round": {name: last[name] for name in ("kl", "agreement")},
    }


def real_scenes(folder: Path) -> Path:
    """The folder, with scenes of the training side as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, scene in enumerate(digit_scenes("training")[0][:REAL_SCENES]):
        Image.fromarray(scene.permute(1, 2, 0).numpy()).save(folder / f"{index:04d}.png")
    return folder


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="*", choices=[*ARMS, []], help="all by default")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks/first-recipe"), help="folder of the runs")
    options = parser.parse_args()
    rows = []
    for arm in options.arms or ARMS:
        file = RESULTS / f"{arm.replace(' ', '-').replace(',', '')}.json"
        if not file.is_file():
            write_text(file, json.dumps(measured(arm, options.work), indent=1, ensure_ascii=False) + "\n")
        run = json.loads(file.read_text())
        last = run["last round"]
        rows.append([arm, f"{100 * run['kept']:.1f}", f"{last['kl']:.3f}", f"{100 * last['agreement']:.1f}"])
    print(markdown(["arm", "kept, %", "divergence on its samples", "agreement on new samples, %"], rows))


if __name__ == "__main__":
    main()
