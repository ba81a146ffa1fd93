"""The limits of a run's numbers, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from .record import Record
from .wording import metric_name, percent, several

SURE = 1.96  # standard errors to either side: 95 %
BY_CLASS = ("accuracy", "iou")
WEAK = 0.85  # of the share kept over all classes: a class below is named
NAMED = 3


def limitations(record: Record) -> list[str]:
    """One or two sentences for each limit that applies to this run."""
    if not record.results:
        return [text for text in (_unfinished(record), _standstill(record)) if text]
    rules = (_worthless, _standstill, _scored_on, _chosen, _seed, _chance, _weakest)
    return [text for text in (*(rule(record) for rule in rules), *_files(record), _speed(record)) if text]


def _unfinished(record: Record) -> str:
    return (
        f"The run has done {len(record.history)} of {several(record.rounds, 'round')} as far as its last checkpoint "
        "tells: the student has not been scored, and nothing can be said of it."
    )


def _worthless(record: Record) -> str:
    """The warning that a student has learnt nothing, which comes first; empty for other students."""
    finding = str(record.results.get("worthless", ""))
    return f"{finding[:1].upper()}{finding[1:]}: do not use it." if finding else ""


def _standstill(record: Record) -> str:
    """The rounds in which the student learnt nothing although its losses were finite; empty if there were none."""
    rounds = [int(row["round"]) + 1 for row in record.history if row.get("standstill")]
    if not rounds:
        return ""
    return (
        f"From round {rounds[0]} to round {rounds[-1]} there were {several(len(rounds), 'round')} in which the student "
        "had long agreed with its teacher by chance only: it learnt nothing there, although its losses were finite. "
        "Lower distillation.lr."
    )


def _scored_on(record: Record) -> str:
    """What the score was measured on."""
    results = record.results
    if not record.labelled:
        return (
            f"There was no held-out data. {percent(results['student']['agreement'])} is how often the student answers "
            f"as its teacher does on {results['n']:,} synthetic images made as its own training images were: it says "
            "nothing of real images, and nothing of whether the teacher is right."
        )
    files = results.get("files", {})
    foreign = [name for name, file in files.items() if not file["official"]]
    text = (
        f"The score is of {results['scored_on']}. On other images, from another camera or of another time, teacher and "
        "student may differ more than they do here."
    )
    return text + (f" {', '.join(foreign)} is not the file that its owner publishes." if foreign else "")


def _chosen(record: Record) -> str:
    """Whether the settings were chosen on the data of the score."""
    if not record.labelled:
        return ""
    if record.results.get("embedded"):
        return (
            "The embedded data has no split to choose settings on but this one, and its packaged recipes were chosen "
            "in view of it: take the share kept as optimistic."
        )
    return (
        "The run does not record whether its settings were chosen by looking at these same held-out images. If "
        "they are the best of several runs scored here, the share kept is optimistic."
    )


def _seed(record: Record) -> str:
    settings, environment = record.settings, record.environment
    return (
        f"This is one run, with seed {settings['seed']}, on {several(environment['threads'], 'thread')} of "
        f"{environment['cuda'] or environment['platform']}. Another seed, another number of threads or another "
        "processor ends elsewhere; how far, only more runs tell."
    )


def _chance(record: Record) -> str:
    """The sampling error of a share of images. Pixels of one image are not independent, so label maps have none."""
    metric, count = record.metric, record.results["n"]
    if metric == "top1":
        share = record.results["student"][metric]
        error = SURE * math.sqrt(share * (1 - share) / count)
        return (
            f"{count:,} images leave the student’s {metric_name(metric)} uncertain by about {100 * error:.1f} points "
            "to either side (95%), whatever else is equal."
        )
    if metric == "miou":
        return (
            f"The {metric_name(metric)} is of all pixels of {count:,} images together, and every class counts alike: a "
            "class with few pixels moves it as much as one with many."
        )
    return ""


def _weakest(record: Record) -> str:
    """Classes far below the mean."""
    results = record.results
    for name in BY_CLASS:
        teacher, student = (results[role].get(name, {}) for role in ("teacher", "student"))
        kept = {class_name: student.get(class_name, 0.0) / share for class_name, share in teacher.items() if share > 0}
        weak = sorted(
            (class_name for class_name in kept if kept[class_name] < WEAK * results["kept"]),
            key=lambda class_name: kept[class_name],
        )
        if weak:
            worst = ", ".join(f"{percent(kept[class_name], 0)} of “{class_name}”" for class_name in weak[:NAMED])
            others = f", and less than the mean of {several(len(weak) - NAMED, 'more class', 'es')}"
            return (
                f"The mean hides classes: of the teacher’s {metric_name(name)} the student keeps {worst}"
                f"{others if len(weak) > NAMED else ''}."
            )
    return ""


def _files(record: Record) -> Iterator[str]:
    """Limits of the ONNX files."""
    files: Mapping[str, Mapping[str, Any]] = record.results.get("exported", {})
    failed = [check for check in record.results["parity"] if not check["passed"]]
    if failed:
        yield (
            f"model.onnx does not do what the model does at {len(failed)} of the shapes that were compared: do "
            "not use it, look at “parity” in report.json."
        )
    for name, file in files.items():
        yield from (f"{name}: {note}." for note in file.get("notes", ()))
        if record.labelled and record.metric not in file:
            yield f"{name} was not scored: the held-out data was not at hand when this page was made."


def _speed(record: Record) -> str:
    """How the latencies were measured."""
    latency = record.results.get("latency")
    if not latency:
        return ""
    return (
        "Times are of one image at a time on this CPU, in a fraction of a second at the end of the run, with whatever "
        "else was running: they say nothing of a GPU, of batches or of another machine."
    )
