"""Whether the numbers that need no data predict the student: rank correlations over the short runs on the digits.

    python tests/benchmarks/sample_signs.py

Reads what `generator_endings.py`, `ssd_kd_arms.py` and `digits_recipes.py` kept, all with one teacher and scored on the
scans that tune settings, and trains nothing. Runs are compared within a method too, since terms and lengths of
methods differ. A run that two of these kept counts once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from scipy.stats import spearmanr
from short_runs import NETWORK, RESULTS
from tables import markdown

from compress.storage.files import write_text

FOLDERS = ("endings", "arms", "recipes")
SIGNS = ("evenness", "bn_distance", "answer_spread", "agreement", "variety", "confidence", "kl")
LEAST = 5  # runs for a correlation


def correlation(runs: Sequence[dict[str, Any]], sign: str) -> str:
    """Spearman's rank correlation of a sign with the student's score, with its p-value; empty of too few runs."""
    pairs = [(run["last_round"][sign], run["top1"]) for run in runs if sign in run["last_round"]]
    if len(pairs) < LEAST:
        return ""
    result = spearmanr(*zip(*pairs, strict=True))
    sure = "p < 0.001" if result.pvalue < 0.001 else f"p = {result.pvalue:.3f}"
    return "" if math.isnan(result.statistic) else f"{result.statistic:+.2f} ({sure})"


def table(runs: Sequence[dict[str, Any]]) -> str:
    """Signs by group of runs."""
    groups = {"all": list(runs)}
    for run in runs:
        groups.setdefault(run["method"], []).append(run)
    groups = {name: of_group for name, of_group in groups.items() if len(of_group) >= LEAST}
    rows = [[f"`{sign}`", *(correlation(of_group, sign) for of_group in groups.values())] for sign in SIGNS]
    return markdown(["number", *(f"{name}, {len(of_group)} runs" for name, of_group in groups.items())], rows)


def main() -> None:
    """Write the table."""
    files = [file for folder in FOLDERS for file in sorted((RESULTS / folder).glob("*.json"))]
    runs = [json.loads(file.read_text()) for file in files]
    runs = [run for run in runs if run.get("student", NETWORK) == NETWORK]
    runs = list({(run["method"], run["seed"], run["last_round"]["bn_distance"]): run for run in runs}.values())
    write_text(RESULTS / "signs.md", table(runs))
    print(table(runs))


if __name__ == "__main__":
    main()
