"""A device that torch takes for an accelerator, in Python, as strict as CUDA: for tests where there is no GPU.

A tensor on it is a wrapper around one on the CPU. Each operation is checked, computed on the CPU and wrapped again:
what CUDA refuses is refused, and what makes the processor wait for a GPU, or moves memory across, is counted.

    with accelerator() as counts:
        torch.ones(3, device=DEVICE).sum().item()
    assert counts.waits == 1
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import torch
from pretend_device import DEVICE, Counts, DeviceModule, counts
from pretend_tensors import DeviceMode

from compress.cli import main
from compress.training.compute import CaptureName, Compute


@contextmanager
def accelerator() -> Iterator[Counts]:
    """While entered, `DEVICE` works, and what crosses is counted from 0 on."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor(..., device=DEVICE)` is a copy to the device
    counts.clear()
    DeviceModule.entered = True
    try:
        with DeviceMode():
            yield counts
    finally:
        DeviceModule.entered = False
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
    printed = io.StringIO()
    with chosen(), redirect_stderr(printed), redirect_stdout(printed):
        try:
            main([str(word) for word in words])
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 1
    return code, next(iter(printed.getvalue().strip().splitlines()[-1:]), "")
