"""Check the values of weights from a file before they are loaded: types, NaN, infinity and overflow."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from compress.errors import UsageError

SHOWN = 2  # names of tensors in one message


def require_values(state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], origin: str) -> None:
    """Raise `UsageError` unless loading `tensors` into a network with that `state` preserves their values.

    Weights must be real numbers of any precision, and finite in the network's precision. Variances must not be
    negative. Counters must be integers.
    """
    complaints: dict[str, list[str]] = {}
    for name, value in tensors.items():
        complaint = _complaint(name, value, state[name]) if name in state else ""
        if complaint:
            complaints.setdefault(complaint, []).append(name)
    if complaints:
        reasons = (f"it has {what} in {_few(names)}" for what, names in complaints.items())
        raise UsageError(
            f"{origin} does not fit the network: {'; '.join(reasons)}; train it again, or save it in float32"
        )


def _complaint(name: str, value: Tensor, place: Tensor) -> str:
    if not place.is_floating_point():
        fits = not (value.is_floating_point() or value.is_complex())
        return "" if fits else f"{_type(value)} values where integers are needed"
    if not value.is_floating_point():
        return f"{_type(value)} values"
    wide = value.double()  # torch has no arithmetic for 8-bit floats
    if not wide.isfinite().all():
        return "NaN or infinity"
    if not wide.to(place.dtype if place.dtype.itemsize >= 4 else torch.float32).isfinite().all():
        return f"values that overflow in {_type(place)}"
    if name.endswith("running_var") and bool((wide < 0).any()):
        return "a negative variance"
    return ""


def _type(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _few(names: list[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{rest}"
