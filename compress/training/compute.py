"""Device and number format of the networks."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from compress.errors import UsageError, first_line
from compress.training.progress import console

PrecisionName = Literal["auto", "fp32", "bf16"]
CaptureName = Literal["auto", "on", "off"]
DEVICES = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")
"""Allowed names of devices: `cuda` is the current GPU, `cuda:1` the second one."""
MOST_PIXELS = 1 << 22
"""Most pixels in a batch without gradients on an accelerator: larger batches do not reduce the share of launches."""
SHARE = 0.4
"""Largest share of an accelerator's memory for stored images; otherwise they stay in the CPU's memory."""


@dataclass(frozen=True)
class Compute:
    """A device and the number format of matrix products and convolutions on it; weights and losses stay float32."""

    device: torch.device
    dtype: torch.dtype
    capture: CaptureName = "off"
    """Whether steps run as CUDA graphs: see `compress.training.capture`."""
    exactly: bool = False
    """Whether float32 is float32 throughout, not TensorFloat-32."""

    @classmethod
    def choose(cls, device: str = "auto", precision: PrecisionName = "auto", capture: CaptureName = "auto") -> Compute:
        """Resolve `auto`: CUDA if there is a GPU that works; bf16 if the device supports it natively.

        Raises `UsageError` if a GPU is requested and cannot be used.
        """
        chosen = _device(device)
        if precision == "auto":
            # emulated on cards older than Ampere, which are slower with it
            native = (
                torch.cuda.is_bf16_supported(including_emulation=False)
                if chosen.type == "cuda"
                else _cpu_multiplies_bf16()
            )
            precision = "bf16" if native else "fp32"
        if chosen.type == "cpu":
            _keep_freed_memory()
        else:
            if chosen.index is not None:
                torch.cuda.set_device(chosen)
            torch.backends.cudnn.benchmark = True  # shapes are the same step after step
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        return cls(chosen, dtype, capture if chosen.type == "cuda" else "off")

    def autocast(self) -> AbstractContextManager[None]:
        """The context to run networks in."""
        if self.exactly:
            return _all_bits() if self.device.type == "cuda" else nullcontext()
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def place(self, model: nn.Module) -> None:
        """Move a model to the device, with weights in the memory format that convolutions prefer."""
        model.to(self.device).to(memory_format=torch.channels_last)

    def images(self, pixels: Tensor) -> Tensor:
        """uint8 images `[n, 3, h, w]` as float in [0, 1] on the device, channels last."""
        return pixels.to(self.device).float().div(255).contiguous(memory_format=torch.channels_last)

    def home(self, size: int) -> torch.device:
        """Where `size` bytes of images are kept: on the device, if they take no more than `SHARE` of its memory."""
        memory = device_memory(self.device)
        return self.device if memory is None or size <= SHARE * memory else torch.device("cpu")

    def pixels_at_once(self) -> int | None:
        """Most pixels in a batch without gradients; None on a CPU, whose caches are small."""
        return None if self.device.type == "cpu" else MOST_PIXELS

    def rows(self, stored: Tensor, index: Tensor) -> Tensor:
        """`stored[index]` on the device; if the rows are in the CPU's memory, this waits."""
        if stored.device.type == self.device.type:
            return stored[index]
        picked = stored[index.cpu()]
        if self.device.type == "cuda":
            return picked.pin_memory().to(self.device, non_blocking=True)
        return picked.to(self.device)

    @property
    def exact(self) -> Compute:
        """The same device in fp32, so that reported scores do not depend on the precision of the training."""
        return replace(self, dtype=torch.float32, exactly=True)

    @property
    def precision(self) -> str:
        """`fp32` or `bf16`."""
        return "bf16" if self.dtype == torch.bfloat16 else "fp32"


CPU_FLOAT32 = Compute(torch.device("cpu"), torch.float32)
"""Exact arithmetic for comparisons with ONNX files, which run on the CPU."""


def device_memory(device: torch.device) -> int | None:
    """Total memory of an accelerator in bytes; None for a CPU, which shares its memory with other processes."""
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None


def _device(name: str) -> torch.device:
    """The device of that name; raises `UsageError` for a GPU that is missing or does not work."""
    if not DEVICES.fullmatch(name):
        raise UsageError(
            f"`device` {name!r:.40} is none of auto, cpu, cuda and cuda:N: `compress doctor` lists the cards"
        )
    if name == "cpu":
        return torch.device("cpu")
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    explicit = name != "auto"
    if not present:
        if explicit:
            raise UsageError(f"`device` {name}: {_why_no_cuda()}; use `device` cpu or auto")
        return torch.device("cpu")
    chosen = torch.device("cuda" if name == "auto" else name)  # without a number, the one that a worker took
    if (chosen.index or 0) >= present:
        raise UsageError(f"`device` {name}: torch sees {present} CUDA devices here, cuda:0 to cuda:{present - 1}")
    fault = _fault(chosen)
    if fault is None:
        return chosen
    reason = f"torch cannot use {torch.cuda.get_device_name(chosen)}: {fault}"
    if explicit:
        raise UsageError(f"`device` {name}: {reason}; use `device` cpu, or a torch that is built for this card")
    console.print(f"{reason}; the run goes on the CPU", style="yellow", soft_wrap=True)
    return torch.device("cpu")


def _why_no_cuda() -> str:
    """torch's reason: no driver, a driver that is too old, or a build without CUDA."""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return f"torch finds no usable CUDA device here ({first_line(error).partition('. ')[0]})"
    return "torch finds no usable CUDA device here"


def _fault(device: torch.device) -> str | None:
    """Why nothing runs on a GPU, for example if it is too old for this torch; None if it works."""
    try:
        torch.ones(2, device=device).add_(1).cpu()
    except RuntimeError as error:
        return first_line(error).rstrip(".")
    return None


@contextmanager
def _all_bits() -> Iterator[None]:
    """While entered, float32 convolutions and products on CUDA have full precision, unlike cuDNN's default.

    cuDNN's benchmark is off too, because scored batches may differ in size every time.
    """
    places: tuple[Any, ...] = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    before, tries = [place.fp32_precision for place in places], torch.backends.cudnn.benchmark
    try:
        for place in places:
            place.fp32_precision = "ieee"
        torch.backends.cudnn.benchmark = False
        yield
    finally:
        torch.backends.cudnn.benchmark = tries
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision


@contextmanager
def preserved_backends() -> Iterator[None]:
    """Restore the current GPU and the settings of torch that `Compute.choose` changes, on exit."""
    tries = torch.backends.cudnn.benchmark
    began: Callable[[], bool] = torch.cuda.is_initialized
    card = torch.cuda.current_device() if began() else 0
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = tries
        if began():
            torch.cuda.set_device(card)


def _keep_freed_memory() -> None:
    """Let glibc reuse freed blocks of up to 32 MiB. By default feature maps of 8 MiB are mapped again at every layer.

    Other C libraries have no `mallopt` and are not changed.
    """
    trim_threshold, mmap_threshold = -1, -3
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, 32 << 20)
        mallopt(trim_threshold, 2**31 - 1)


def _cpu_multiplies_bf16() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
