"""Runs of `compress` for tables: each is carried out once and kept as one small JSON, from which tables are written.

A finished run is never repeated and an interrupted one continues, so that a benchmark may be started again and again,
or once on every core: what one process is at, the others pass over.
Scores are those of the last round, never of the best; minutes are those of the fastest seed, since whatever else a
machine does can only add to them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from tables import line_plot, markdown

from compress.storage.files import write_text
from compress.storage.settings_files import load_config, merged

KEPT_SETTINGS = (
    "method", "teacher", "student", "image_size", "crop_size", "inversion", "replay", "distillation", "precision",
)  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """One line of a table: a command, and the packaged recipe it begins with, if any, with what differs from it."""

    name: str
    words: tuple[str, ...]
    """The command and its flags, but for data, seed and folder."""
    recipe: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    program: tuple[str, ...] = ("-m", "compress")
    """What Python runs: the command line, or a script that changes something in it first."""


@dataclass(frozen=True)
class Table:
    """Arms that are compared."""

    title: str
    arms: tuple[Arm, ...]
    against: str | None = None
    """What the horizontal axis of the plot is called, if the arms' names are numbers."""


@dataclass(frozen=True)
class Benchmark:
    """Tables on one data set; results lie in `tests/benchmarks/results/NAME/TABLE/`."""

    name: str
    metric: str
    tables: Mapping[str, Table]

    @property
    def results(self) -> Path:
        """Where they are kept."""
        return Path(__file__).parent / "results" / self.name

    def carry_out(self, names: Sequence[str], work: Path, flags: Callable[[str, Arm], Sequence[object]]) -> None:
        """Run what is missing of the tables, seed by seed; `flags` are those of an arm that hang on the machine."""
        for name in names:
            arms = self.tables[name].arms
            for seed in sorted({seed for arm in arms for seed in arm.seeds}):
                for arm in arms:
                    if seed in arm.seeds:
                        self._run_once(name, arm, seed, work / name, flags)
                        self.write(name)

    def _run_once(
        self, table: str, arm: Arm, seed: int, work: Path, flags: Callable[[str, Arm], Sequence[object]]
    ) -> None:
        """A run, unless it was carried out before or another process is at it."""
        name = f"{arm.name.replace(' ', '-').replace(',', '')}-seed{seed}"
        result = self.results / table / f"{name}.json"
        work.mkdir(parents=True, exist_ok=True)
        with suppress(Timeout), FileLock(work / f"{name}.lock", blocking=False):
            if not result.is_file():
                kept = {"arm": arm.name, "seed": seed, **self._run(table, arm, seed, work / name, flags)}
                write_text(result, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")

    def _run(
        self, table: str, arm: Arm, seed: int, folder: Path, flags: Callable[[str, Arm], Sequence[object]]
    ) -> dict[str, Any]:
        """What a run says of itself at its end; it continues if it was interrupted."""
        words = [sys.executable, *arm.program, *arm.words, *flags(table, arm), "--seed", seed, "--out", folder]
        if arm.recipe:
            config = folder.parent / f"{folder.name}.yaml"
            write_text(config, yaml.safe_dump(merged(load_config(arm.recipe), arm.changes)))
            words += ["--config", config]
        resumable = any(file.is_file() for file in (folder / "checkpoints/last/state.pt", folder / "unfinished.pt"))
        words += ["--resume"] if resumable else ["--overwrite"]
        print(f"{table}: {arm.name}, seed {seed}{', continued' if resumable else ''}", flush=True)
        subprocess.run([str(word) for word in words], check=True)
        return self._measured(folder)

    def _measured(self, folder: Path) -> dict[str, Any]:
        """What a finished run says of itself."""
        report = json.loads((folder / "report.json").read_text())
        config = folder / "config.yaml"
        if config.is_file():
            resolved = yaml.safe_load(config.read_text())
            settings = {key: resolved[key] for key in KEPT_SETTINGS if key in resolved}
        else:
            settings = report["settings"]
        student = report.get("student", report)
        teacher = {f"teacher_{self.metric}": report["teacher"][self.metric]} if "teacher" in report else {}
        return {
            self.metric: student[self.metric],
            **({"iou": student["iou"]} if "iou" in student else {}),
            **teacher,
            "parameters": student["parameters"],
            "seconds": report["seconds"],
            "settings": settings,
            "environment": json.loads((folder / "environment.json").read_text()),
        }

    def write(self, name: str) -> None:
        """`TABLE.md`, `TABLE.json` and, where arms are numbers, `TABLE.png`, from the results that are there."""
        table, records = self.tables[name], self._records(name)
        parts = list(dict.fromkeys(part for record in records for part in record["minutes"]))
        rows = [
            [
                record["arm"],
                f"{100 * record['mean']:.2f}" + (f" ± {100 * record['deviation']:.2f}" if record["deviation"] else ""),
                ", ".join(f"{100 * score:.2f}" for score in record[self.metric]),
                *(f"{record['minutes'][part]:.1f}" if part in record["minutes"] else "" for part in parts),
            ]
            for record in records
        ]
        header = ["arm", f"{self.metric}, %", "by seed", *(f"{part}, min" for part in parts)]
        write_text(self.results / f"{name}.md", f"{table.title}\n\n{markdown(header, rows)}")
        write_text(self.results / f"{name}.json", json.dumps(records, indent=1, ensure_ascii=False) + "\n")
        if table.against and records:
            points = [(float(record["arm"]), 100 * record["mean"]) for record in records]
            line_plot(self.results / f"{name}.png", points, table.against, f"{self.metric}, held-out images, %")
        print(markdown(header, rows))

    def _records(self, name: str) -> list[dict[str, Any]]:
        """A line of the table for each arm with results."""
        results = [json.loads(path.read_text()) for path in sorted((self.results / name).glob("*.json"))]
        records = []
        for arm in self.tables[name].arms:
            runs = [run for run in results if run["arm"] == arm.name]
            if not runs:
                continue
            scores = [run[self.metric] for run in runs]
            records.append(
                {
                    "arm": arm.name,
                    self.metric: scores,
                    "seeds": [run["seed"] for run in runs],
                    "minutes": {part: min(r["seconds"][part] for r in runs) / 60 for part in runs[0]["seconds"]},
                    "mean": statistics.mean(scores),
                    "deviation": statistics.stdev(scores) if len(scores) > 1 else None,
                }
            )
        return records

    def options(self, description: str | None, *needed: str) -> argparse.Namespace:
        """What the command line says; `needed` are flags that name files or folders without which nothing can run.

        With --write-only it writes the tables and ends.
        """
        parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("tables", nargs="+", choices=self.tables)
        parser.add_argument("--work", type=Path, default=Path("runs/benchmarks"), help="folder of the runs")
        parser.add_argument(
            "--write-only", action="store_true", help="write the tables from the results that are there"
        )
        for name in needed:
            parser.add_argument(name, type=Path)
        options = parser.parse_args()
        if options.write_only:
            for name in options.tables:
                self.write(name)
            raise SystemExit
        if None in (getattr(options, name[2:].replace("-", "_")) for name in needed):
            parser.error(f"{' and '.join(needed)} are needed to run")
        return options
