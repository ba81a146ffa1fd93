"""How the benchmarks write what they measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def line_plot(path: Path, points: Sequence[tuple[float, float]], across: str, up: str) -> None:
    """A PNG of one curve over a logarithmic axis, every point with its value."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.6), dpi=120)
    axes.plot(*zip(*points, strict=True), marker="o")
    for x, y in points:
        axes.annotate(f"{y:.1f}", (x, y), textcoords="offset points", xytext=(0, 7), ha="center")
    axes.set(xscale="log", xlabel=across, ylabel=up, xticks=[x for x, _ in points])
    axes.set_xticklabels([f"{x:,.0f}" for x, _ in points])
    axes.minorticks_off()
    axes.margins(y=0.2)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
