"""The CIFAR-10 tables: runs `compress distill` for each arm and seed, keeps one small JSON a run, writes the tables.

    python tests/benchmarks/cifar10.py ablation --data-root DIR --teacher-weights resnet56-4bfd9763.th

A finished run is never repeated and an interrupted one continues, so that the command may be given again and again.
Results lie in `tests/benchmarks/results/cifar10/TABLE/`; accuracy is that of the last round on the 10,000 test images.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from PIL import Image
from tables import line_plot, markdown

from compress.files import write_text
from compress.tasks.data import open_data

RESULTS = Path(__file__).parent / "results" / "cifar10"
COLLECTED_PER_CLASS = 500
KEPT_SETTINGS = ("method", "teacher", "student", "inversion", "replay", "distillation", "precision")


@dataclass(frozen=True)
class Arm:
    """One line of a table: a recipe and what differs from it."""

    name: str
    config: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Arms that are compared, each with every seed."""

    title: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    against: str | None = None
    """What the horizontal axis of the plot is called, if the arms' names are numbers."""


def _ssd_kd(name: str, targets: str = "independent", hints: float = 50.0, **replay: object) -> Arm:
    """The short recipe; classes are drawn one by one, as FastDFKD does, unless balance is what is measured."""
    changes = {"replay": replay, "inversion": {"targets": targets}, "distillation": {"hints": hints}}
    return Arm(name, "cifar10/ssd-kd-short", changes)


TABLES: Mapping[str, Table] = {
    "headline": Table("SSD-KD with 5,000 samples, ResNet-56 to ResNet-20", (Arm("ssd-kd", "cifar10/ssd-kd-cpu", {}),)),
    "ablation": Table(
        "What φ and δ are worth: all arms at the same number of distillation steps",
        (
            _ssd_kd("unlimited pool", phi=False, delta=False, capacity=100_000),
            _ssd_kd("5,000 first in, first out", phi=False, delta=False),
            _ssd_kd("φ alone", delta=False),
            _ssd_kd("δ alone", phi=False),
            _ssd_kd("φ and δ"),
            _ssd_kd("balanced targets, uniform draws", "balanced", phi=False, delta=False),
            _ssd_kd("φ and δ, answers alone", hints=0.0),
        ),
    ),
    "samples": Table(
        "Accuracy against the number of synthetic samples",
        tuple(_ssd_kd(str(count), "balanced", capacity=count) for count in (500, 1_000, 2_500, 5_000, 10_000)),
        seeds=(0,),
        against="synthetic samples",
    ),
    "collected": Table(
        "5,000 collected training images",
        (Arm("hidfd", "cifar10/hidfd-cpu", {}), Arm("kd", "cifar10/kd-cpu", {})),
        seeds=(0,),
    ),
}


def run(table: str, arm: Arm, seed: int, given: argparse.Namespace) -> None:
    """One run, unless its result is there."""
    name = f"{arm.name.replace(' ', '-').replace(',', '')}-seed{seed}"
    result = RESULTS / table / f"{name}.json"
    if result.is_file():
        return
    folder = given.work / table / name
    config = given.work / table / f"{name}.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(yaml.safe_dump(_merged(_recipe(arm.config), arm.changes)))
    words = [sys.executable, "-m", "compress", "distill", "--task", "classification", "--data", "cifar10"]
    words += ["--data-root", given.data_root, "--teacher", "cifar_resnet56", "--teacher-weights", given.teacher_weights]
    words += ["--student", "cifar_resnet20", "--config", config, "--seed", seed, "--out", folder]
    if table == "collected":
        words += ["--collected", collected_images(given.data_root, given.work / "collected-images")]
    resumable = (folder / "checkpoints" / "last" / "state.pt").is_file()
    words += ["--resume"] if resumable else ["--overwrite"]
    print(f"{table}: {arm.name}, seed {seed}{', continued' if resumable else ''}", flush=True)
    subprocess.run([str(word) for word in words], check=True)
    report = json.loads((folder / "report.json").read_text())
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    kept = {
        "arm": arm.name,
        "seed": seed,
        "top1": report["student"]["top1"],
        "teacher_top1": report["teacher"]["top1"],
        "seconds": report["seconds"],
        "settings": {key: settings[key] for key in KEPT_SETTINGS if key in settings},
        "environment": json.loads((folder / "environment.json").read_text()),
    }
    write_text(result, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def collected_images(data_root: Path, folder: Path) -> Path:
    """`folder/CLASS/*.png`, the first 500 training images of each class of CIFAR-10: what somebody has collected."""
    if folder.is_dir():
        return folder
    source = open_data("cifar10", "classification", data_root)
    training = source.training()
    with TemporaryDirectory(dir=folder.parent) as unfinished:
        for label, name in enumerate(source.class_names):
            images = training.images[training.targets == label][:COLLECTED_PER_CLASS]
            (Path(unfinished) / name).mkdir()
            for index, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
                Image.fromarray(image).save(Path(unfinished) / name / f"{index:03d}.png")
        Path(unfinished).rename(folder)
    return folder


def _recipe(name: str) -> dict[str, Any]:
    path = Path(__file__).parents[2] / "configs" / f"{name}.yaml"
    recipe: dict[str, Any] = yaml.safe_load(path.read_text())
    return recipe


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(below)
    for key, value in above.items():
        both[key] = _merged(below.get(key, {}), value) if isinstance(value, Mapping) else value
    return both


def write_tables(name: str) -> None:
    """`TABLE.md`, `TABLE.json` and, where arms are numbers, `TABLE.png`, from the results that are there."""
    table, rows, records = TABLES[name], [], []
    for arm in table.arms:
        runs = [json.loads(path.read_text()) for path in sorted((RESULTS / name).glob("*.json"))]
        runs = [run for run in runs if run["arm"] == arm.name]
        if not runs:
            continue
        accuracies = [run["top1"] for run in runs]
        spread = statistics.stdev(accuracies) if len(runs) > 1 else None
        minutes = {part: statistics.mean(run["seconds"][part] for run in runs) / 60 for part in runs[0]["seconds"]}
        record = {"arm": arm.name, "top1": accuracies, "seeds": [run["seed"] for run in runs], "minutes": minutes}
        records.append({**record, "mean": statistics.mean(accuracies), "deviation": spread})
        rows.append(
            [
                arm.name,
                f"{100 * statistics.mean(accuracies):.2f}" + (f" ± {100 * spread:.2f}" if spread is not None else ""),
                ", ".join(f"{100 * accuracy:.2f}" for accuracy in accuracies),
                *(f"{value:.1f}" for value in minutes.values()),
            ]
        )
    parts = list(records[0]["minutes"]) if records else []
    header = ["arm", "top-1, %", "by seed", *(f"{part}, min" for part in parts)]
    write_text(RESULTS / f"{name}.md", f"{table.title}\n\n{markdown(header, rows)}")
    write_text(RESULTS / f"{name}.json", json.dumps(records, indent=1, ensure_ascii=False) + "\n")
    if table.against and records:
        points = [(float(record["arm"]), 100 * record["mean"]) for record in records]
        line_plot(RESULTS / f"{name}.png", points, table.against, "top-1 on CIFAR-10 test images, %")
    print(markdown(header, rows))


def main() -> None:
    """Run what is missing of the tables named, seed by seed, then write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", choices=TABLES)
    parser.add_argument("--data-root", type=Path, help="the folder cifar-10-batches-py or its parent")
    parser.add_argument("--teacher-weights", type=Path, help="resnet56-4bfd9763.th")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks"), help="folder of the runs")
    parser.add_argument("--write-only", action="store_true", help="write the tables from the results that are there")
    given = parser.parse_args()
    if not given.write_only and None in (given.data_root, given.teacher_weights):
        parser.error("--data-root and --teacher-weights are needed to run")
    for name in given.tables:
        if not given.write_only:
            for seed in TABLES[name].seeds:
                for arm in TABLES[name].arms:
                    run(name, arm, seed, given)
                    write_tables(name)
        write_tables(name)


if __name__ == "__main__":
    main()
