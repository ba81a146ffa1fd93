"""The first commands of the README: what their students keep, three seeds, and how long each takes from nothing.

    python tests/benchmarks/first_commands.py segmentation classification --work DIR
    python tests/benchmarks/first_commands.py segmentation --tuning --work DIR  # on the scans that tune settings

Every run begins with an empty cache, so that what has to be taught is part of its time. A finished run is never
repeated; delete its JSON to run it again. Time nothing else beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from tables import markdown

from compress.storage.files import write_text

RESULTS = Path(__file__).parent / "results" / "first"
COMMANDS = {
    "segmentation": ("miou", ("--task", "segmentation", "--teacher", "deeplabv3"), "digit-scenes"),
    "classification": ("top1", ("--task", "classification", "--teacher", "resnet34"), "digits"),
}
SEEDS = (0, 1, 2)


def measured(task: str, seed: int, work: Path, *, tuning: bool) -> dict[str, Any]:
    """One run from an empty cache: its scores, its seconds and what its settings came to."""
    metric, words, data = COMMANDS[task]
    folder = work / f"{task}{'-tuning' if tuning else ''}-{seed}"
    scored = ("--data", f"{data}-tuning", "--config", f"{data}/fast-dfkd") if tuning else ()
    command = [sys.executable, "-m", "compress", "distill", *words, *scored, "--seed", str(seed)]
    environment = os.environ | {"XDG_CACHE_HOME": str(folder.with_suffix(".cache"))}
    subprocess.run(["rm", "-rf", str(folder.with_suffix(".cache"))], check=True)
    started, cpu = time.perf_counter(), os.times()
    subprocess.run([*command, "--out", str(folder), "--overwrite"], check=True, env=environment)
    spent, after = time.perf_counter() - started, os.times()
    report = json.loads((folder / "report.json").read_text())
    teacher, student = report["teacher"], report["student"]
    return {
        "seed": seed,
        "teacher": teacher[metric],
        "student": student[metric],
        "kept": student[metric] / teacher[metric],
        "parameters": [teacher["parameters"], student["parameters"]],
        "seconds": spent,
        "cpu_seconds": after.children_user + after.children_system - cpu.children_user - cpu.children_system,
        "parts": report["seconds"],
        "settings": yaml.safe_load((folder / "config.yaml").read_text()),
        "environment": json.loads((folder / "environment.json").read_text()),
    }


def row(runs: list[dict[str, Any]], name: str) -> list[str]:
    """One line of the table."""
    kept = [run["kept"] for run in runs]
    scores = ", ".join(f"{100 * run['student']:.2f}" for run in runs)
    teachers = ", ".join(sorted({f"{100 * run['teacher']:.2f}" for run in runs}))
    seconds = ", ".join(f"{run['seconds']:.0f}" for run in runs)
    return [name, teachers, scores, f"{100 * statistics.mean(kept):.1f}", seconds]


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", choices=COMMANDS)
    parser.add_argument("--tuning", action="store_true", help="score on the tuning side")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks/first"), help="folder of the runs")
    options = parser.parse_args()
    rows = []
    for task in options.tasks:
        name, runs = f"{task}{'-tuning' if options.tuning else ''}", []
        for seed in options.seeds:
            file = RESULTS / f"{name}-seed{seed}.json"
            if not file.is_file():
                result = measured(task, seed, options.work, tuning=options.tuning)
                write_text(file, json.dumps(result, indent=1) + "\n")
            runs.append(json.loads(file.read_text()))
        rows.append(row(runs, name))
    print(markdown(["command", "teacher, %", "student, %, by seed", "kept, %, mean", "seconds, by seed"], rows))


if __name__ == "__main__":
    main()
