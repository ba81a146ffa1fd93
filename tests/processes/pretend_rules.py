"""What CUDA refuses, what it copies and what makes the processor wait for it, as rules about operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pretend_device import DEVICE, NAME, counts
from torch import Tensor

aten = torch.ops.aten
CROSSINGS = {aten._to_copy, aten.copy_, aten._copy_from, aten._copy_from_and_resize}
INDEXED = {aten.index, aten._unsafe_index, aten.index_put_, aten.index_put, aten._index_put_impl_}
WAITS = {
    aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.equal, aten.is_nonzero, aten._unique2,
    aten.unique_consecutive, aten.unique_dim, aten.bincount, aten.repeat_interleave,
}  # fmt: skip
"""They need a value, or a size that follows from values, before the next line can run."""


def waits(packet: Any, args: Any) -> bool:
    """Whether an operation makes the processor wait for the device."""
    return packet in WAITS or (packet in INDEXED and has_boolean_index(args))


def check_devices(func: Any, args: Any, kwargs: dict[str, Any], tensors: Sequence[Tensor]) -> None:
    """Refuse tensors of two devices where CUDA does; scalars and indices that it copies are counted."""
    strangers = [part for part in tensors if not lies_on_device(part)]
    if not strangers or len(strangers) == len(tensors) or func.overloadpacket in CROSSINGS:
        return
    if func.overloadpacket in INDEXED:
        indices = [part for part in args[1] if part is not None]
        strangers = [part for part in strangers if not any(part is index for index in indices)]
        if lies_on_device(args[0]) and all(part.ndim == 0 for part in strangers):
            counts.copies += len([index for index in indices if not lies_on_device(index)])
            return
    if torch.Tag.pointwise in func.tags and all(part.ndim == 0 for part in strangers):
        return
    raise RuntimeError(
        f"Expected all tensors to be on the same device, but found at least two devices, {NAME}:0 and cpu! ({func})"
    )


def has_boolean_index(args: Any) -> bool:
    return any(part is not None and part.dtype in {torch.bool, torch.uint8} for part in args[1])


def lies_on_device(tensor: Tensor) -> bool:
    return tensor.device.type == DEVICE.type
