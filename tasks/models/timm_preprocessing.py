"""How a teacher's images are prepared and what its classes are called, as timm's configurations say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from compress.errors import UsageError
from compress.framing import CROP_MODES, INTERPOLATIONS, Framing, border_of
from compress.storage.untrusted import require_name
from compress.teacher import Colours, Teacher

from .timm_hub import normaliser

TIMM_CROP_PCT, TIMM_INTERPOLATION = 0.875, "bicubic"
"""What timm does where a configuration does not say it."""


def configured(teacher: Teacher, config: Mapping[str, Any]) -> Teacher:
    """The teacher as its timm configuration describes it; raises `UsageError` for a configuration that cannot be."""
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
    return Framing(mode, share, interpolation, border_of(mean))


def _labels(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    labels = config.get("label_names")
    if not isinstance(labels, (list, tuple)) or not labels:
        return None
    return tuple(require_name(str(label)) for label in labels)


def colours(numbers: Sequence[float]) -> Colours:
    """A number a channel."""
    red, green, blue = (float(number) for number in numbers)
    return red, green, blue
