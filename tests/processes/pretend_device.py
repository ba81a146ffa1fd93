"""The pretend device as torch knows it: its name, its module, and counts of what crosses to and from it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"
DEVICE = torch.device("privateuseone", 0)
"""Works while `pretend_accelerator.accelerator()` is entered."""
CPU = torch.device("cpu")


@dataclass
class Counts:
    """What crossed between the processor and the device, or made one wait for the other."""

    waits: int = 0
    copies: int = 0
    names: list[str] = field(default_factory=list)
    """Operations that were counted."""

    def clear(self) -> None:
        """Count anew."""
        self.waits = self.copies = 0
        self.names.clear()

    def wait(self, operation: object) -> None:
        """Count an operation that makes the processor wait."""
        self.waits += 1
        self.names.append(str(operation))

    def copy(self, operation: object) -> None:
        """Count a copy between the two."""
        self.copies += 1
        self.names.append(str(operation))


counts = Counts()


class DeviceModule:
    """What torch looks for in the module of a device."""

    entered = False
    strict = False

    @staticmethod
    def is_available() -> bool:
        return DeviceModule.entered  # other tests that look for an accelerator must not find this one

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


# Before the first backward: autograd counts devices only once.
_setup_privateuseone_for_python_backend(NAME, DeviceModule())
