"""Formatting of numbers and names."""

from __future__ import annotations

from collections.abc import Mapping

METRICS: Mapping[str, str] = {
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "miou": "mIoU",
    "pixel_accuracy": "pixel accuracy",
    "accuracy": "accuracy",
    "iou": "IoU",
    "agreement": "agreement",
}


def metric_name(key: str) -> str:
    """As it is written in prose."""
    return METRICS.get(key, key)


def amount(count: float) -> str:
    """Millions, as `0.27 M`."""
    return f"{count / 1e6:,.2f} M" if count < 1e8 else f"{count / 1e6:,.0f} M"


def megabytes(size: float) -> str:
    """As `1.1 MB`."""
    return f"{size / 1e6:,.1f} MB"


def percent(share: float, digits: int = 1) -> str:
    """As `98.9%`."""
    return f"{share:.{digits}%}"


def times(ratio: float) -> str:
    """Two significant digits: `1.8`, `79`."""
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:,.0f}"


def number(value: float) -> str:
    """Three significant digits, without an exponent if that is short."""
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}").replace("-", "−")


def duration(seconds: float) -> str:
    """As `42 s`, `4 min 12 s`, `1 h 12 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def several(count: int, thing: str, ending: str = "s") -> str:
    """As `1 round`, `12 rounds`."""
    return f"{count:,} {thing}{'' if count == 1 else ending}"
