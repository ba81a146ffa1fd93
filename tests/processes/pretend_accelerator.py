"""A device that torch takes for an accelerator, in Python, as strict as CUDA: for tests where there is no GPU.

A tensor on it is a wrapper around one on the CPU. Each operation is looked at, computed on the CPU and wrapped again:
what CUDA refuses is refused, and what makes the processor wait for a GPU, or moves memory across, is counted.

    with accelerator() as counts:
        torch.ones(3, device=DEVICE).sum().item()
    assert counts.waits == 1
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from compress.cli import main
from compress.training.compute import CaptureName, Compute

NAME = "pretend"
DEVICE = torch.device("privateuseone", 0)
"""Works while `accelerator()` is entered."""
CPU = torch.device("cpu")
aten = torch.ops.aten

CROSSINGS = {aten._to_copy, aten.copy_, aten._copy_from, aten._copy_from_and_resize}
INDEXED = {aten.index, aten._unsafe_index, aten.index_put_, aten.index_put, aten._index_put_impl_}
WAITS = {
    aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.equal, aten.is_nonzero, aten._unique2,
    aten.unique_consecutive, aten.unique_dim, aten.bincount, aten.repeat_interleave,
}  # fmt: skip
"""What has to know a value, or a size that follows from values, before the next line can run."""


@dataclass
class Counts:
    """What crossed between the processor and the device, or made one wait for the other."""

    waits: int = 0
    copies: int = 0
    names: list[str] = field(default_factory=list)
    """Of the operations that were counted."""

    def clear(self) -> None:
        """Count anew."""
        self.waits = self.copies = 0
        self.names.clear()

    def wait(self, operation: object) -> None:
        """One more."""
        self.waits += 1
        self.names.append(str(operation))

    def copy(self, operation: object) -> None:
        """One more."""
        self.copies += 1
        self.names.append(str(operation))


class PretendTensor(Tensor):
    """A tensor on the device: `host` holds its numbers."""

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor) -> PretendTensor:
        made: PretendTensor = Tensor._make_wrapper_subclass(
            cls, host.size(), strides=host.stride(), storage_offset=host.storage_offset(), dtype=host.dtype,
            device=DEVICE,
        )  # fmt: skip
        made.host = host
        return made

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
        return _carry_out(func, args, kwargs, _tensors((args, *kwargs.values())))


class _Mode(TorchDispatchMode):
    """While entered, tensors can be made on the device."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and the guard against it takes longer than the operations

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        place, tensors = kwargs.get("device"), _tensors((args, *kwargs.values()))
        on_device = place is not None and torch.device(place).type == DEVICE.type
        if on_device or PretendTensor in set(map(type, tensors)):
            return _carry_out(func, args, kwargs, tensors)
        return func(*args, **kwargs)


counts = Counts()
_recording: list[list[tuple[Any, Any, Any, list[Tensor]]]] = []
"""While a graph is recorded, its operations: what they were given, and what they gave."""


class PretendGraph:
    """A recording of operations, repeated on the memory that they had, as a CUDA graph's are; Python does not run."""

    def __init__(self) -> None:
        self._recorded: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def rehearse(self, step: Callable[[], None], *, strictly: bool) -> None:
        """Run it once; `strictly` as where CUDA's processor may not wait."""
        _Module.strict = strictly
        try:
            step()
        finally:
            _Module.strict = False

    def record(self, step: Callable[[], None]) -> None:
        """Unlike CUDA's, it runs while it is recorded."""
        _recording.append(self._recorded)
        try:
            step()
        finally:
            _recording.pop()

    def random_state(self) -> Tensor:
        """The processor's: the device has none of its own."""
        return torch.get_rng_state()

    def set_random_state(self, state: Tensor) -> None:
        """Continue from there."""
        torch.set_rng_state(state)

    def replay(self) -> None:
        """Do it all again."""
        for func, args, kwargs, results in self._recorded:
            again = _tensors([func(*args, **kwargs)])
            before = {part.untyped_storage()._cdata for part in _tensors((args, *kwargs.values()))}
            for kept, new in zip(results, again, strict=True):
                if kept.untyped_storage()._cdata not in before:  # neither a view nor in place
                    kept.copy_(new)


def _carry_out(func: Any, args: Any, kwargs: dict[str, Any], tensors: list[Tensor]) -> Any:
    packet, crossed = func.overloadpacket, counts.waits + counts.copies
    device = _device_of_result(packet, args, kwargs)
    _refuse_what_cuda_refuses(func, args, kwargs, tensors)
    if packet in WAITS or (packet in INDEXED and _boolean_index(args)):
        counts.wait(func)
    generator = kwargs.get("generator")
    if isinstance(generator, torch.Generator) and generator.device.type != DEVICE.type and device == DEVICE:
        raise RuntimeError(f"Expected a '{NAME}' device type for generator but found '{generator.device.type}'")
    host_args, host_kwargs = _on_host(args), {name: _on_host(part) for name, part in kwargs.items()}
    if "device" in host_kwargs:
        host_kwargs["device"] = CPU
    if counts.waits + counts.copies > crossed:
        _refuse_to_wait_while_recording(func)
    result = func(*host_args, **host_kwargs)
    if _recording:
        _recording[-1].append((func, host_args, host_kwargs, _tensors([result])))
    if packet is aten._to_copy and device == CPU:
        return result
    if packet is aten.copy_ and device == CPU:
        return args[0]
    if _aliases(func):
        return return_and_correct_aliasing(func, args, kwargs, _on_device(result))
    return _on_device(result)


def _refuse_to_wait_while_recording(func: Any) -> None:
    if _recording:
        raise RuntimeError(f"operation not permitted when stream is capturing ({func})")
    if _Module.strict:
        raise RuntimeError(f"called a synchronizing CUDA operation ({func})")


@cache
def _aliases(func: Any) -> bool:
    """Whether an operation returns what it was given, or a view of it."""
    return any(returned.alias_info is not None for returned in func._schema.returns)


def _device_of_result(packet: Any, args: Any, kwargs: dict[str, Any]) -> torch.device:
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


def _refuse_what_cuda_refuses(func: Any, args: Any, kwargs: dict[str, Any], tensors: Sequence[Tensor]) -> None:
    strangers = [part for part in tensors if not isinstance(part, PretendTensor)]
    if not strangers or len(strangers) == len(tensors) or func.overloadpacket in CROSSINGS:
        return
    if func.overloadpacket in INDEXED:
        indices = [part for part in args[1] if part is not None]
        strangers = [part for part in strangers if not any(part is index for index in indices)]
        if isinstance(args[0], PretendTensor) and all(part.ndim == 0 for part in strangers):
            counts.copies += len([index for index in indices if not isinstance(index, PretendTensor)])
            return
    if torch.Tag.pointwise in func.tags and all(part.ndim == 0 for part in strangers):
        return
    raise RuntimeError(
        f"Expected all tensors to be on the same device, but found at least two devices, {NAME}:0 and cpu! ({func})"
    )


def _boolean_index(args: Any) -> bool:
    return any(part is not None and part.dtype in {torch.bool, torch.uint8} for part in args[1])


def _tensors(parts: Iterable[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for part in parts:
        if isinstance(part, Tensor):
            found.append(part)
        elif isinstance(part, (list, tuple)):
            found += _tensors(part)
    return found


def _on_host(part: Any) -> Any:
    if isinstance(part, (list, tuple)):
        return type(part)(map(_on_host, part))
    return part.host if isinstance(part, PretendTensor) else part


def _on_device(part: Any) -> Any:
    if isinstance(part, (list, tuple)):
        return type(part)(map(_on_device, part))
    return PretendTensor(part) if isinstance(part, Tensor) else part


class _Module:
    """What torch looks for in the module of a device."""

    entered = False
    strict = False

    @staticmethod
    def is_available() -> bool:
        return _Module.entered  # or whatever looks for an accelerator in other tests would find this one

    @staticmethod
    def is_initialized() -> bool:
        return True

    @staticmethod
    def _is_in_bad_fork() -> bool:
        return False

    @staticmethod
    def current_device() -> int:
        return 0

    @staticmethod
    def device_count() -> int:
        return 1

    @staticmethod
    def manual_seed_all(seed: int) -> None:
        """There is no generator on the device: all random numbers are the processor's."""

    @staticmethod
    def get_rng_state(device: object = None) -> Tensor:
        return torch.zeros(1, dtype=torch.uint8)

    @staticmethod
    def set_rng_state(state: Tensor, device: object = None) -> None:
        """There is no generator on the device."""

    @staticmethod
    def get_amp_supported_dtype() -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


_setup_privateuseone_for_python_backend(NAME, _Module())  # before the first backward: autograd counts devices only once


@contextmanager
def accelerator() -> Iterator[Counts]:
    """While entered, `DEVICE` works, and what crosses is counted from 0 on."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor(..., device=DEVICE)` is a copy to the device
    counts.clear()
    _Module.entered = True
    try:
        with _Mode():
            yield counts
    finally:
        _Module.entered = False
        torch._C._set_only_lift_cpu_tensors(False)
        torch.__future__.set_overwrite_module_params_on_conversion(before)


@contextmanager
def chosen(capture: CaptureName = "off") -> Iterator[None]:
    """While entered, commands and jobs take the device for the card of this machine; `accelerator()` is entered too."""
    before = Compute.choose
    Compute.choose = lambda *_, **__: Compute(DEVICE, torch.float32, capture)  # type: ignore[method-assign]
    try:
        yield
    finally:
        Compute.choose = before  # type: ignore[method-assign]


def command(*words: object) -> tuple[int, str]:
    """Exit code and last line of `compress WORDS...` in this process, on the device."""
    said = io.StringIO()
    with chosen(), redirect_stderr(said), redirect_stdout(said):
        try:
            main([str(word) for word in words])
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 1
    return code, next(iter(said.getvalue().strip().splitlines()[-1:]), "")
