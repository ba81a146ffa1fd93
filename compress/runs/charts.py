"""Charts of scores and speeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from compress.storage.files import write_with

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#000000")
"""Okabe and Ito's colours, which are safe for colour vision deficiency."""
MOST_BARS = 60
as_it_is = mpl.rc_context({"text.parse_math": False})
"""Text for matplotlib with dollar signs escaped, so that names are not read as formulas."""


@as_it_is
def class_bars(path: Path, label: str, values: Mapping[str, Mapping[str, float]]) -> None:
    """A png of horizontal bars: fractions by class for one or two models, `values[model][class]` if there is one.

    Of more than `MOST_BARS` classes it shows those with the lowest values of the last model.
    """
    from matplotlib.figure import Figure  # pyplot would change global state and look for a display

    names = list(dict.fromkeys(name for by_class in values.values() for name in by_class))
    if len(names) > MOST_BARS:
        last = list(values.values())[-1]
        names = sorted(names, key=lambda name: last.get(name, 1.0))[:MOST_BARS]
        label = f"{label}: the {MOST_BARS} lowest"
    figure = Figure(figsize=(6, 1 + 0.32 * len(names)), dpi=120, layout="tight")
    axes = figure.subplots()
    thickness = 0.8 / len(values)
    for row, (model, by_class) in enumerate(values.items()):
        shown = [name for name in names if name in by_class]
        places = [names.index(name) + (row + 0.5) * thickness - 0.4 for name in shown]
        shares = [by_class[name] for name in shown]
        bars = axes.barh(places, shares, thickness, label=model, color=COLOURS[row])
        axes.bar_label(bars, [f"{share:.2f}" for share in shares], padding=2, fontsize=7)
    axes.set(xlim=(0, 1.08), xlabel=label, yticks=range(len(names)), yticklabels=names)
    axes.invert_yaxis()
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(values), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    write_with(path, lambda temporary: figure.savefig(temporary, format="png"))


@as_it_is
def throughput_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A png of images a second over the batch, a line a model and runtime: rows of `compress benchmark`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=120, layout="tight")
    axes = figure.subplots()
    labels = list(dict.fromkeys((row["model"], row["runtime"]) for row in rows))
    for index, label in enumerate(labels):
        own = [row for row in rows if (row["model"], row["runtime"]) == label]
        points = [row["batch"] for row in own], [row["images_per_second"] for row in own]
        axes.plot(*points, "o-", color=COLOURS[index % len(COLOURS)], label=" ".join(label))
    batches = sorted({row["batch"] for row in rows})
    axes.set(xscale="log", yscale="log", xlabel="images in a batch", ylabel="images a second, from array to answer")
    axes.set_xticks(batches, [str(batch) for batch in batches], minor=False)
    axes.minorticks_off()
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    write_with(path, lambda temporary: figure.savefig(temporary, format="png"))
