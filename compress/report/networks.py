"""The table of teacher, student and files, and the sentence that states the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .record import Record
from .wording import amount, megabytes, metric_name, percent, several, times


@dataclass(frozen=True, kw_only=True)
class Network:
    """A row of the table, as text; unknown values are empty."""

    role: str
    name: str
    cells: Sequence[str]


@dataclass(frozen=True)
class Networks:
    """The table without empty columns."""

    columns: Sequence[str]
    rows: Sequence[Network]


@dataclass(frozen=True)
class Figure:
    """One of the numbers at the top."""

    value: str
    meaning: str


def networks(record: Record) -> Networks:
    """All networks that a finished run has scored."""
    metric, results = record.metric, record.results
    columns = [metric_name(metric), "kept", "parameters", "multiply-adds", "file", "one image"]
    rows = [
        Network(
            role=role,
            name=name,
            cells=_cells(facts, results["teacher"], metric, kept=record.labelled and role != "teacher"),
        )
        for role, name, facts in _facts(results)
    ]
    filled = [place for place in range(len(columns)) if any(row.cells[place] for row in rows)]
    thinned = [Network(role=row.role, name=row.name, cells=[row.cells[place] for place in filled]) for row in rows]
    return Networks([columns[place] for place in filled], thinned)


def _facts(results: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Role, name and facts of each network."""
    latency = (results.get("latency") or {}).get("milliseconds", {})
    for role in ("teacher", "student"):
        yield role, results[role]["name"], {**results[role], "milliseconds": latency.get(role)}
    files = results.get("exported", {"model.onnx": results["onnx"]})
    for name, facts in sorted(files.items(), key=lambda file: -file[1]["bytes"]):
        yield f"ONNX {facts.get('precision', 'fp32')}", name, {**facts, "milliseconds": latency.get(name)}


def _cells(facts: Mapping[str, Any], teacher: Mapping[str, Any], metric: str, *, kept: bool) -> list[str]:
    score, latency = facts.get(metric), facts["milliseconds"]
    return [
        "" if score is None else f"{score:.4f}",
        percent(score / teacher[metric]) if kept and score is not None else "",
        amount(facts["parameters"]) if "parameters" in facts else "",
        amount(facts["macs"]) if "macs" in facts else "",
        megabytes(facts["bytes"]),
        "" if latency is None else f"{latency:.2f} ms",
    ]


def headline(record: Record) -> str:
    """The result of the run in one sentence."""
    settings, results = record.settings, record.results
    if not results:
        done = f"{len(record.history)} of {several(record.rounds, 'round')} done"
        return f"{settings['student']} is being distilled from {settings['teacher']}: {done}"
    teacher, student = results["teacher"], results["student"]
    if results.get("worthless"):
        return f"{student['name']} is no better than an answer that ignores the image"
    size = " ".join(_compared(teacher["parameters"], student["parameters"], "parameters"))
    if not record.labelled:
        same = percent(student["agreement"])
        return f"{student['name']} answers as {teacher['name']} does on {same} of new synthetic images, with {size}"
    kept = f"{percent(results['kept'])} of {teacher['name']}’s {metric_name(record.metric)}"
    return f"{student['name']} keeps {kept}, with {size}"


def _compared(teacher: float, student: float, what: str) -> tuple[str, str]:
    """How many times more or fewer the student has, and of what."""
    if teacher >= student:
        return f"{times(teacher / student)}×", f"fewer {what}"
    return f"{times(student / teacher)}×", f"as many {what}"


def figures(record: Record) -> list[Figure]:
    """The numbers that matter most, of a finished run."""
    results = record.results
    teacher, student, metric = results["teacher"], results["student"], metric_name(record.metric)
    latency = (results.get("latency") or {}).get("milliseconds", {})
    if record.labelled:
        first = Figure(percent(results["kept"]), f"of the teacher’s {metric} kept")
    else:
        first = Figure(percent(student["agreement"]), "same answer as the teacher")
    compared = ((teacher[key], student[key], name) for key, name in (("parameters",) * 2, ("macs", "multiply-adds")))
    figures = [first, *(Figure(*_compared(*pair)) for pair in compared)]
    figures.append(Figure(megabytes(results["onnx"]["bytes"]), "the ONNX file"))
    if latency:
        share = times(latency["teacher"] / latency["student"])
        figures.append(Figure(f"{share}×", "the teacher’s speed, both in PyTorch on this CPU"))
    return figures
