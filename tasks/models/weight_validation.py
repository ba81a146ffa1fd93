"""Numbers from a file, before they are put into a network: of a type and a size that it can hold."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from compress.errors import UsageError

SHOWN = 2  # tensors that a complaint names


def require_values(state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], origin: str) -> None:
    """Raise `UsageError` unless `tensors` keep what they are when a network with that `state` takes them.

    Real numbers have to be real numbers in the file, in any precision, finite in the network's, and a variance is not
    negative; whole numbers have to be whole.
    """
    complaints: dict[str, list[str]] = {}
    for name, value in tensors.items():
        complaint = _complaint(name, value, state[name]) if name in state else ""
        if complaint:
            complaints.setdefault(complaint, []).append(name)
    if complaints:
        said = (f"it holds {what} in {_few(names)}" for what, names in complaints.items())
        raise UsageError(f"{origin} does not fit the network: {'; '.join(said)}; train it anew, or save it in float32")


def _complaint(name: str, value: Tensor, place: Tensor) -> str:
    if not place.is_floating_point():
        fits = not (value.is_floating_point() or value.is_complex())
        return "" if fits else f"numbers of the type {_type(value)} where whole ones belong"
    if not value.is_floating_point():
        return f"numbers of the type {_type(value)}"
    wide = value.double()  # types of 8 bits have no arithmetic of their own
    if not wide.isfinite().all():
        return "NaN or infinity"
    if not wide.to(place.dtype if place.dtype.itemsize >= 4 else torch.float32).isfinite().all():
        return f"numbers that {str(place.dtype).removeprefix('torch.')} does not hold"
    if name.endswith("running_var") and bool((wide < 0).any()):
        return "a negative variance"
    return ""


def _type(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _few(names: list[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{rest}"
