"""How well agreement on new synthetic images tells what a student loses on real ones.

    python tests/benchmarks/agreement_estimate.py RUN...

For each finished run that was scored on held-out data: what `compress evaluate RUN --without-data` says, beside the
share of the teacher's metric that the student lost. One JSON a run is kept under `results/estimate/`, and a run
that has one is not looked at again; the table and the plot are made of all that are kept.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from scipy.stats import spearmanr
from tables import markdown

from compress.runs.without_data import agreement_without_data
from compress.storage.files import write_text, write_with
from compress.training.compute import Compute

RESULTS = Path(__file__).parent / "results" / "estimate"


def measured(run: Path, compute: Compute) -> dict[str, Any]:
    """Estimate and truth."""
    report, config = json.loads((run / "report.json").read_text()), yaml.safe_load((run / "config.yaml").read_text())
    estimate, _ = agreement_without_data(run, compute)
    return {
        "run": run.name,
        "data": report["data"],
        "method": config["method"],
        "student": config["student"],
        **asdict(estimate),
        "kept": report["kept"],
    }


def plot(path: Path, records: list[dict[str, Any]]) -> None:
    """Agreement and its interval across, the share kept up, a colour a data set."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 4), dpi=120, layout="tight")
    axes = figure.subplots()
    for data in dict.fromkeys(record["data"] for record in records):
        own = [record for record in records if record["data"] == data]
        shares = [record["share"] for record in own]
        reach = [[r["share"] - r["low"] for r in own], [r["high"] - r["share"] for r in own]]
        axes.errorbar(shares, [record["kept"] for record in own], xerr=reach, fmt="o", label=data, capsize=2)
    axes.set(xlabel="agreement on new synthetic images", ylabel="share of the teacher's metric kept on real ones")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    write_with(path, lambda temporary: figure.savefig(temporary, format="png"))


def main() -> None:
    """Measure what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path)
    compute = Compute.choose("auto", "fp32")
    for run in parser.parse_args().runs:
        kept = RESULTS / f"{run.name}.json"
        if not kept.is_file():
            write_text(kept, json.dumps(measured(run, compute), indent=1, ensure_ascii=False) + "\n")
    records = sorted((json.loads(path.read_text()) for path in RESULTS.glob("*.json")), key=lambda r: r["share"])
    rows = [
        [r["run"], r["data"], f"{r['share']:.3f} ({r['low']:.3f} to {r['high']:.3f})", f"{r['kept']:.3f}"]
        for r in records
    ]
    order = spearmanr([r["share"] for r in records], [r["kept"] for r in records]) if len(records) > 2 else None
    said = f"Rank correlation over {len(records)} runs: {order.statistic:.2f} (p = {order.pvalue:.3f})" if order else ""
    table = markdown(["run", "data", "agreement on new synthetic images", "kept of the teacher's metric"], rows)
    write_text(RESULTS.parent / "estimate.md", f"{said}\n\n{table}")
    plot(RESULTS.parent / "estimate.png", records)
    print(f"{said}\n\n{table}")


if __name__ == "__main__":
    main()
