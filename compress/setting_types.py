"""What the models of settings are made of: numbers within bounds, headings of help pages, the base of all sections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


@dataclass(frozen=True)
class Heading:
    """The part of a help page that lists a setting. Parts are sorted by rank; 2 is that of the command's own flags."""

    title: str
    rank: int


MODELS, DATA, HARDWARE = Heading("Models", 0), Heading("Data (optional)", 1), Heading("Seed and hardware", 3)
READING = Heading("Reading photographs and weights", 5)
LABELLED_DATA, TRAINING = Heading("Labelled data", 1), Heading("Training", 4)
MASKS = Heading("Images with masks on your disk: docs/data.md", 5)

Count = Annotated[int, Field(ge=1, le=100_000_000)]
Number = Annotated[int, Field(ge=0, le=100_000_000)]
Width = Annotated[int, Field(ge=1, le=65_536)]
Shift = Annotated[int, Field(ge=0, le=4096)]
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Portion = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Weight = Annotated[float, Field(ge=0, le=1e6)]


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Channels = Annotated[tuple[Fraction, Fraction, Fraction], BeforeValidator(_as_tuple)]
Deviations = Annotated[tuple[Positive, Positive, Positive], BeforeValidator(_as_tuple)]
"""A number per channel, RGB; in files a list."""
Side = Annotated[int, Field(ge=1, le=4096)]
Device = Annotated[
    str,
    Field(
        pattern=r"^(auto|cpu|cuda(:[0-9]{1,3})?)$",
        description="Device to compute on: auto, cpu, cuda, or one card as in cuda:1.",
    ),
]
ImageSize = Annotated[
    Side | None,
    Field(
        description="Resize images on your disk to this shorter side, in pixels. The default for image-folder is the "
        "teacher's size, or 224 where it has none, and for others their own size."
    ),
]
CropSize = Annotated[
    Side | None,
    Field(description="Crop size for training segmenters, in pixels. The default is whole images."),
]


def _as_text(value: object) -> object:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Numbers = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^\d{1,5}(,\d{1,5})*$")]
"""Whole numbers from 0, as `0,255`, in files also as one number or a list."""


def _as_pairs(value: object) -> object:
    if isinstance(value, Mapping):
        return tuple(f"{key}={_as_text(entry)}" for key, entry in value.items())
    return tuple(value) if isinstance(value, list) else value


Pairs = Annotated[tuple[str, ...], BeforeValidator(_as_pairs)]
"""`KEY=VALUE`, once for each key; in files also a table."""


class Section(BaseModel):
    """Closed and frozen: a misspelt key is an error. Files are validated strictly; flags are parsed from text."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
