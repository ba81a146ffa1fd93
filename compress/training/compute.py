"""Where and how precisely the networks run."""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from compress.errors import UsageError

DeviceName = Literal["auto", "cpu", "cuda"]
PrecisionName = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class Compute:
    """A device and the number format of matrix products and convolutions on it; weights and losses stay float32."""

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def choose(cls, device: DeviceName = "auto", precision: PrecisionName = "auto") -> Compute:
        """Resolve `auto`: CUDA if there is one; bf16 where the processor multiplies it natively.

        Raises `UsageError` if CUDA is asked for and cannot be used.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise UsageError("`device` cuda: torch finds no usable CUDA device here; use `device` cpu or auto")
        chosen = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
        if precision == "auto":
            native = torch.cuda.is_bf16_supported() if chosen.type == "cuda" else _cpu_multiplies_bf16()
            precision = "bf16" if native else "fp32"
        if chosen.type == "cpu":
            _keep_freed_memory()
        return cls(chosen, torch.bfloat16 if precision == "bf16" else torch.float32)

    def autocast(self) -> AbstractContextManager[None]:
        """The context to run networks in."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def place(self, model: nn.Module) -> None:
        """Move a model to the device, with its weights in the memory format that convolutions want."""
        model.to(self.device).to(memory_format=torch.channels_last)

    def images(self, pixels: Tensor) -> Tensor:
        """uint8 images `[n, 3, h, w]` as float in [0, 1] on the device, channels last."""
        return pixels.to(self.device).float().div(255).contiguous(memory_format=torch.channels_last)

    @property
    def exact(self) -> Compute:
        """The same device in fp32: scores that are reported should not depend on how the training was sped up."""
        return Compute(self.device, torch.float32)

    @property
    def precision(self) -> str:
        """`fp32` or `bf16`."""
        return "bf16" if self.dtype == torch.bfloat16 else "fp32"


def _keep_freed_memory() -> None:
    """Tell glibc to reuse freed blocks up to 32 MiB: by default feature maps of 8 MiB are paged in anew at every layer.

    Other C libraries have no `mallopt`, and go on as they are.
    """
    trim_threshold, mmap_threshold = -1, -3
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, 32 << 20)
        mallopt(trim_threshold, 2**31 - 1)


def _cpu_multiplies_bf16() -> bool:
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
