"""Rendering and writing the HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from compress.errors import UsageError
from compress.methods import METHODS
from compress.storage.files import write_text
from compress.storage.run_directory import RunDirectory

from . import classes, networks, samples
from .curves import HEIGHT, WIDTH, groups
from .limitations import limitations
from .pictures import own_picture, picture_uri, tile_uri
from .record import Record, read_record
from .wording import duration, percent, several

PLACES = ("teacher_weights", "data_root", "collected")
"""Settings that hold local paths. The page is meant to be shared, so it shows only their last part."""
ANSWERS: Mapping[str, str] = {
    "classification": "Under each image stands the class it was made for, then what the teacher and the student see.",
    "segmentation": "Each row: the image, the label map it was made for, the teacher’s answer, the student’s answer.",
}


def write_page(run: RunDirectory) -> Path:
    """Write `report.html` atomically; raises `UsageError` if a file of the run is broken."""
    page, record = run.path / "report.html", read_record(run)
    try:
        text = rendered(record)
    except UsageError:
        raise
    except Exception as error:  # files that are sound one by one and contradict each other do so in any way
        raise UsageError(
            f"the files of {run.path} do not fit together, as if of several runs: run it anew with `overwrite`"
        ) from error
    write_text(page, text)
    return page


def rendered(record: Record) -> str:
    """The page, with untrusted text escaped."""
    environment = Environment(
        loader=PackageLoader("compress.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "duration": duration, "several": several}
    finished = _finished(record) if record.results else {"finished": False}
    return environment.get_template("page.html").render(
        record=record,
        settings=dict(_flat(_without_places(record.settings))),
        headline=networks.headline(record),
        groups=groups(record.history, _meanings(record.settings)),
        plot={"width": WIDTH, "height": HEIGHT},
        warmup=_warmup(record),
        growth=samples.growth(record),
        answers=ANSWERS.get(record.settings["task"], ""),
        hardest=samples.hardest(record),
        most_drawn=samples.most_drawn(record),
        limitations=limitations(record),
        **finished,
    )


def _meanings(settings: Mapping[str, Any]) -> dict[str, str]:
    """What the run's own method says of its loss terms; nothing where the package that brought it is gone."""
    try:
        method = METHODS.find(str(settings.get("method")))
    except UsageError:
        return {}
    return {name: term.meaning for name, term in method.terms.items()} if method else {}


def _finished(record: Record) -> dict[str, Any]:
    """The parts that only a finished run has."""
    results, folder = record.results, record.folder
    shown = []
    for entry in results.get("shown", ()):
        picture, drawn = own_picture(folder, folder / entry["picture"]), tile_uri if "label" in entry else picture_uri
        shown.append({**entry, "uri": drawn(picture)})
    seconds: Mapping[str, float] = results["seconds"]
    ended = results.get("finished")
    return {
        "finished": True,
        "figures": networks.figures(record),
        "networks": networks.networks(record),
        "bars": classes.bars(record) if record.labelled else [],
        "confusion": classes.confusion(record) if record.labelled else None,
        "shown": shown,
        "seconds": seconds,
        "work": duration(sum(seconds.values())),
        "ended": datetime.fromisoformat(ended).strftime("%d %B %Y, %H:%M UTC").lstrip("0") if ended else "",
    }


def _warmup(record: Record) -> float:
    """Where the student's training begins, a share of the axis of rounds."""
    last = max(len(record.history) - 1, 1)
    return min(int(record.settings["distillation"]["warmup"]) / last, 1.0)


def _without_places(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: Path(value).name if key in PLACES and value else value for key, value in settings.items()}


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted name, those that are not given left out."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        elif value is not None:
            yield f"{above}{key}", value
