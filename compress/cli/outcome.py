"""The printed result of a run or an export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from compress.export import ExportFacts, Parity
from compress.runs.handover import Outcome
from compress.training.progress import output


def print_outcome(outcome: Outcome) -> None:
    """Print the scores of teacher, student and file, the comparison with torch, and the paths."""
    report, run = outcome.report, outcome.run
    if outcome.worthless:
        output.print(outcome.worthless, style="bold red", soft_wrap=True)
    rows = {role: report[role] for role in ("teacher", "student", "onnx")}
    output.print(_table(rows, outcome.metric, labelled=report["kept"] is not None, worthless=bool(outcome.worthless)))
    output.print(f"scored on {report['scored_on']}", soft_wrap=True)
    print_parity(outcome.facts, outcome.parity)
    places = {"run directory": run.path, "samples": run.path / "samples", "ONNX file": run.onnx}
    for name, place in (places | {"report": run.path / "report.html"}).items():
        output.print(f"{name:14} {place}", soft_wrap=True)


def print_conversion(facts: ExportFacts) -> None:
    """Print what became of the network in another precision: what it keeps, what it saves, what to know of it."""
    for said in (facts.converted.said, *(f"note: {note}" for note in facts.card.notes)):
        if said:
            output.print(said, soft_wrap=True)
    if facts.saving is not None:
        output.print(f"{facts.card.precision}: {facts.saving}", soft_wrap=True)


def print_parity(facts: ExportFacts, results: list[Parity]) -> None:
    """Print the sizes that the file takes and one line for each comparison with torch."""
    sizes = "any height and width" if facts.card.dynamic_size else f"height and width fixed ({facts.reason})"
    batch = "any size" if facts.fixed_batch is None else f"{facts.fixed_batch}"
    output.print(f"{file_kind(facts)}: batch of {batch}, {sizes}; parity with torch:")
    for result in results:
        output.print(f"  {'ok    ' if result.passed else 'FAILED'} {result}", soft_wrap=True)
    refused = [f"not {name}: {'; '.join(reasons)}" for name, reasons in facts.limits.items() if reasons]
    output.print("; ".join([f"by its documents it runs on {', '.join(facts.card.fits)}", *refused]), soft_wrap=True)


def file_kind(facts: ExportFacts) -> str:
    """Whose format a file has."""
    return "OpenVINO" if facts.path.suffix == ".xml" else "ONNX"


def _table(rows: Mapping[str, Mapping[str, Any]], metric: str, *, labelled: bool, worthless: bool) -> Table:
    table = Table()
    for column in ("", "network", metric, "kept" if labelled else "", "parameters", "MACs", "file"):
        table.add_column(column, justify="left" if column in ("", "network") else "right", overflow="fold")
    for role, row in rows.items():
        table.add_row(
            role,
            row["name"],
            f"{row[metric]:.4f}{' (chance)' if worthless and role != 'teacher' else ''}",
            "" if role == "teacher" or not labelled else f"{row[metric] / rows['teacher'][metric]:.1%}",
            f"{row['parameters'] / 1e6:.2f} M" if "parameters" in row else "",
            f"{row['macs'] / 1e6:,.0f} M" if "macs" in row else "",
            f"{row['bytes'] / 1e6:.1f} MB",
        )
    return table
