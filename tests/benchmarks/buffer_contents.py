"""What the replay buffers of finished runs hold: how old samples are, how sure the teacher is, which are drawn.

python tests/benchmarks/buffer_contents.py RUN...
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import yaml
from tables import markdown

from compress.replay.policies import Prioritised
from compress.storage.run_directory import RunDirectory


def row(run: Path) -> list[str]:
    """One line of the table."""
    settings = yaml.safe_load((run / "config.yaml").read_text())
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    buffer = RunDirectory.open(run).read_checkpoint()["buffer"]
    made_in = buffer["arrival"] // settings["inversion"]["samples"]
    warmup = (made_in < settings["distillation"]["warmup"]).float().mean().item()
    shares = buffer["histogram"].float().mean(dim=0)
    shares = shares / shares.sum()
    chances = Prioritised(1.0).probabilities(buffer["priority"]).sort(descending=True).values
    return [
        run.name,
        str(len(buffer["images"])),
        str(made_in.median().item()),
        f"{warmup:.1%}",
        f"{buffer['confidence'].mean().item():.3f}",
        f"{shares.min().item():.3f} to {shares.max().item():.3f}",
        f"{last['one_hot']:.2f}",
        f"{chances[: len(chances) // 10].sum().item():.0%}",
        f"{buffer['weight'].max().item():.1f}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    header = ["run", "samples", "median round", "of the warm-up", "teacher's confidence", "class shares", "one_hot"]
    header += ["chance of δ's first tenth", "largest weight"]
    print(markdown(header, [row(run) for run in parser.parse_args().runs]))


if __name__ == "__main__":
    main()
