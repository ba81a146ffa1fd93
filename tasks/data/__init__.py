"""Data sets by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

from compress.errors import UsageError, unknown_name
from compress.files import digest

from . import digits
from .source import DataSource, LabelledImages

__all__ = ["DEFAULT_DATA", "SOURCES", "DataSource", "LabelledImages", "open_data"]

DEFAULT_DATA: Mapping[str, str] = {"classification": "digits", "segmentation": "digit-scenes"}
_DIGITS_FINGERPRINT = digest(Path(digits.__file__).read_bytes(), version("scikit-learn"))

SOURCES: Mapping[str, DataSource] = {
    source.name: source
    for source in (
        DataSource(
            name="digits",
            task="classification",
            class_names=digits.CLASS_NAMES,
            image_shape=(3, 32, 32),
            fingerprint=_DIGITS_FINGERPRINT,
            training=lambda: LabelledImages(*digits.digit_images(held_out=False)),
            held_out=cache(lambda: LabelledImages(*digits.digit_images(held_out=True))),
            mirror=False,
            description="1,797 handwritten digits of scikit-learn as 32x32 RGB images; 450 of them held out",
        ),
        DataSource(
            name="digit-scenes",
            task="segmentation",
            class_names=digits.SCENE_CLASS_NAMES,
            image_shape=(3, digits.SCENE_SIZE, digits.SCENE_SIZE),
            fingerprint=_DIGITS_FINGERPRINT,
            training=lambda: LabelledImages(*digits.digit_scenes(held_out=False)),
            held_out=cache(lambda: LabelledImages(*digits.digit_scenes(held_out=True))),
            mirror=False,
            background=0,
            description="96x96 scenes of up to four of those digits on textures; 400 held out, of other scans",
        ),
    )
}


def open_data(name: str | None, task: str) -> DataSource:
    """The data set `name`, or the task's embedded default; raises `UsageError` if it does not exist or fit the task."""
    source = SOURCES.get(name or DEFAULT_DATA[task])
    if source is None:
        raise unknown_name("data set", str(name), SOURCES)
    if source.task != task:
        raise UsageError(
            f"data set {source.name!r} is for {source.task}, not {task}: "
            f"use --task {source.task} or --data {DEFAULT_DATA[task]}"
        )
    return source
