"""The synthetic samples: over the rounds, the hardest, and the most often drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from .pictures import own_picture, picture_uri, sample_uri
from .record import Record
from .wording import number, percent, several

SHOWN = 8
MOST_NAMED, LEAST_NAMED = 3, 0.02  # classes in a sample, and the share that one must cover


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of the run with the size that it is shown at, pixels."""

    uri: str
    width: int
    height: int
    caption: str


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image of the buffer."""

    uri: str
    predicted: str
    """The teacher's prediction."""
    facts: Sequence[str]


def growth(record: Record) -> list[Picture]:
    """The pictures in samples/, in the order of their rounds."""
    pictures = []
    for path in sorted((record.folder / "samples").glob("round-*.png")):
        turn = path.stem.removeprefix("round-")
        if not turn.isdecimal():
            continue
        with Image.open(own_picture(record.folder, path)) as opened:
            width, height = opened.size
        pictures.append(
            Picture(uri=picture_uri(path), width=width, height=height, caption=f"Round {int(turn)} of {record.rounds}")
        )
    return pictures


def hardest(record: Record) -> list[Sample]:
    """The samples with the highest priorities among those that were drawn; new samples have a placeholder priority."""
    if not record.buffer or not any("buffer_priority" in row for row in record.history):
        return []
    drawn = record.buffer["draws"] > 0
    return _samples(record, (record.buffer["priority"] * drawn).argsort(descending=True, stable=True), int(drawn.sum()))


def most_drawn(record: Record) -> list[Sample]:
    """The samples that were drawn most often."""
    if not record.buffer:
        return []
    draws = record.buffer["draws"]
    return _samples(record, draws.argsort(descending=True, stable=True), int((draws > 0).sum()))


def _samples(record: Record, order: Tensor, count: int) -> list[Sample]:
    return [_sample(record, place) for place in order[: min(SHOWN, count)].tolist()]


def _sample(record: Record, place: int) -> Sample:
    columns = record.buffer
    drawn, sure = int(columns["draws"][place]), columns["confidence"][place].item()
    facts = [f"drawn {several(drawn, 'time')}", f"sure {percent(sure, 0)}"]
    if any("buffer_priority" in row for row in record.history):
        facts.insert(0, f"priority {number(columns['priority'][place].item())}")
    return Sample(
        uri=sample_uri(columns["images"][place]), predicted=_seen(record, columns["histogram"][place]), facts=facts
    )


def _seen(record: Record, histogram: Tensor) -> str:
    """The classes that cover most of a sample in the teacher's prediction."""
    shares = histogram.float() / histogram.sum().clamp(min=1)
    order: Sequence[int] = shares.argsort(descending=True, stable=True).tolist()
    shown = [at for at in order[:MOST_NAMED] if shares[at] >= LEAST_NAMED]
    if len(shown) == 1:
        return record.class_name(shown[0])
    return ", ".join(f"{record.class_name(at)}: {percent(shares[at].item(), 0)}" for at in shown)
