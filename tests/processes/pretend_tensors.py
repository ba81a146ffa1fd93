"""Tensors of the pretend device, and each operation on them: checked, computed on the CPU and wrapped again."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import torch
from pretend_device import CPU, DEVICE, NAME, DeviceModule, counts
from pretend_rules import CROSSINGS, check_devices, waits
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

aten = torch.ops.aten
recordings: list[list[tuple[Any, Any, Any, list[Tensor]]]] = []
"""While a graph is recorded, its operations: their arguments and their results."""


class PretendTensor(Tensor):
    """A tensor on the device: `host` holds its numbers."""

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor) -> PretendTensor:
        wrapper: PretendTensor = Tensor._make_wrapper_subclass(
            cls, host.size(), strides=host.stride(), storage_offset=host.storage_offset(), dtype=host.dtype,
            device=DEVICE,
        )  # fmt: skip
        wrapper.host = host
        return wrapper

    def __repr__(self, **_: Any) -> str:
        return f"PretendTensor({self.host!r})"

    def tolist(self) -> Any:
        counts.copy("tolist")
        return self.host.tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:
        counts.copy("pickle")
        return self.host.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return carry_out(func, args, kwargs, tensors_in((args, *kwargs.values())))


class DeviceMode(TorchDispatchMode):
    """While entered, tensors can be made on the device."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and the guard against it takes longer than the operations

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        place, tensors = kwargs.get("device"), tensors_in((args, *kwargs.values()))
        on_device = place is not None and torch.device(place).type == DEVICE.type
        if on_device or PretendTensor in set(map(type, tensors)):
            return carry_out(func, args, kwargs, tensors)
        return func(*args, **kwargs)


def carry_out(func: Any, args: Any, kwargs: dict[str, Any], tensors: list[Tensor]) -> Any:
    packet, crossed = func.overloadpacket, counts.waits + counts.copies
    device = device_of_result(packet, args, kwargs)
    check_devices(func, args, kwargs, tensors)
    if waits(packet, args):
        counts.wait(func)
    generator = kwargs.get("generator")
    if isinstance(generator, torch.Generator) and generator.device.type != DEVICE.type and device == DEVICE:
        raise RuntimeError(f"Expected a '{NAME}' device type for generator but found '{generator.device.type}'")
    host_args, host_kwargs = on_host(args), {name: on_host(part) for name, part in kwargs.items()}
    if "device" in host_kwargs:
        host_kwargs["device"] = CPU
    if counts.waits + counts.copies > crossed:
        refuse_to_wait(func)
    result = func(*host_args, **host_kwargs)
    if recordings:
        recordings[-1].append((func, host_args, host_kwargs, tensors_in([result])))
    if packet is aten._to_copy and device == CPU:
        return result
    if packet is aten.copy_ and device == CPU:
        return args[0]
    if returns_alias(func):
        return return_and_correct_aliasing(func, args, kwargs, on_device(result))
    return on_device(result)


def refuse_to_wait(func: Any) -> None:
    if recordings:
        raise RuntimeError(f"operation not permitted when stream is capturing ({func})")
    if DeviceModule.strict:
        raise RuntimeError(f"called a synchronizing CUDA operation ({func})")


@cache
def returns_alias(func: Any) -> bool:
    """Whether an operation returns an argument of its own, or a view of one."""
    return any(returned.alias_info is not None for returned in func._schema.returns)


def device_of_result(packet: Any, args: Any, kwargs: dict[str, Any]) -> torch.device:
    """Where the result lies; copies across are counted here."""
    place = kwargs.get("device")
    if packet is aten._local_scalar_dense:
        return CPU
    if packet in CROSSINGS:
        source = args[1] if packet is aten.copy_ else args[0]
        target = args[0].device if packet is aten.copy_ else torch.device(place or source.device)
        if source.device.type != target.type:
            counts.copy(packet)
        return DEVICE if target.type == DEVICE.type else CPU
    if place is not None:
        return DEVICE if torch.device(place).type == DEVICE.type else CPU
    return DEVICE


def tensors_in(parts: Iterable[Any]) -> list[Tensor]:
    tensors: list[Tensor] = []
    for part in parts:
        if isinstance(part, Tensor):
            tensors.append(part)
        elif isinstance(part, (list, tuple)):
            tensors += tensors_in(part)
    return tensors


def on_host(part: Any) -> Any:
    if isinstance(part, (list, tuple)):
        return type(part)(map(on_host, part))
    return part.host if isinstance(part, PretendTensor) else part


def on_device(part: Any) -> Any:
    if isinstance(part, (list, tuple)):
        return type(part)(map(on_device, part))
    return PretendTensor(part) if isinstance(part, Tensor) else part
