"""Opening data and reporting about its files."""

from __future__ import annotations

from typing import Any

from compress.tasks.data import DataSource, LabelledImages, Place
from compress.tasks.models.model_folder import Card
from compress.training.progress import console


def place_of(card: Card) -> Place:
    """The default image size and framing for the data of a model."""
    return Place(image_size=card.image_size, crop_size=card.crop_size, framing=card.framing)


def inspect(source: DataSource) -> None:
    """Open the held-out split of data on disk, so that a broken file ends a command before any work.

    The embedded data takes time to create and cannot be broken, so it is opened on demand.
    """
    for note in source.notes:
        console.print(f"{source.name}: {note}", soft_wrap=True)
    if source.fingerprint is None:
        say_split(source.name, source.held_out())


def say_split(name: str, split: LabelledImages) -> None:
    """Print the notes on an opened split, one line each: skipped files, and whether published checksums match."""
    for note in split.notes:
        console.print(f"{name}: {note}", soft_wrap=True)
    if not split.sums:
        return
    foreign = [f"{read.file} (md5 {read.md5})" for read in split.sums if not read.official]
    what = f"not the official files: {', '.join(foreign)}" if foreign else "the official md5 sums match"
    files = ", ".join(read.file for read in split.sums)
    console.print(f"{name}: {files}: {what}", soft_wrap=True)


def sums_report(split: LabelledImages) -> dict[str, Any]:
    """`{"files": {name: {"md5": ..., "official": ...}}}` for JSON; empty where the data set publishes no sums."""
    files = {read.file: {"md5": read.md5, "official": read.official} for read in split.sums}
    return {"files": files} if files else {}
