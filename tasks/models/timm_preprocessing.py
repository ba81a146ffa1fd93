"""Preprocessing and class names of a teacher from a timm configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from compress.errors import UsageError
from compress.framing import CROP_MODES, INTERPOLATIONS, Framing, border_of
from compress.storage.untrusted import require_name
from compress.teacher import Colours, Teacher

from .checkpoint_class_names import names_in_order
from .timm_hub import normaliser

TIMM_CROP_PCT, TIMM_INTERPOLATION = 0.875, "bicubic"
"""timm's defaults where a configuration has no value."""


def configured(teacher: Teacher, config: Mapping[str, Any]) -> Teacher:
    """The teacher with the facts of its timm configuration; raises `UsageError` for invalid values."""
    if not config:
        return teacher
    try:
        mean, std = (colours(numbers) for numbers in normaliser(config))
        size: tuple[int, ...] = tuple(config.get("input_size") or ())
        return replace(
            teacher,
            classes=config.get("num_classes"),
            class_names=_labels(config),
            image_size=int(size[1]) if len(size) == 3 else None,
            mean=mean,
            std=std,
            framing=_framing(config, mean),
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"cannot use {teacher.name!r}: {error}") from error


def _framing(config: Mapping[str, Any], mean: Colours) -> Framing:
    mode, interpolation = config.get("crop_mode") or "center", config.get("interpolation") or TIMM_INTERPOLATION
    if mode not in CROP_MODES or interpolation not in INTERPOLATIONS:
        raise ValueError(f"its crop mode is {mode!r:.40} and its interpolation {interpolation!r:.40}")
    share = config.get("crop_pct") or TIMM_CROP_PCT
    return Framing(crop_mode=mode, crop_pct=share, interpolation=interpolation, fill=border_of(mean))


def _labels(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    labels = config.get("label_names")
    if isinstance(labels, (list, tuple)):
        labels = [require_name(str(label)) for label in labels]
    return names_in_order(labels)


def colours(numbers: Sequence[float]) -> Colours:
    """Three numbers, one for each channel, as floats."""
    red, green, blue = (float(number) for number in numbers)
    return red, green, blue
