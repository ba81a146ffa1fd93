"""The context of a method: task, networks, settings, device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from compress.distillation.distiller import Distiller
from compress.gan.collected import Collected
from compress.settings import DistillSettings
from compress.task import Task
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers
from compress.training.random_state import seed_all


def frozen(teacher: nn.Module) -> nn.Module:
    """The same network in evaluation mode, with `requires_grad` off for all weights."""
    return teacher.eval().requires_grad_(requires_grad=False)


@dataclass(frozen=True, kw_only=True)
class MethodContext:
    """What a method works on: task, frozen teacher and new student on the device, settings, and where it runs."""

    task: Task
    teacher: nn.Module
    student: nn.Module
    settings: DistillSettings
    mirror: bool
    """Whether mirror images are as good as the originals."""
    execution: Execution
    collected: Collected | None = None
    """Real images, for the methods that need a few."""

    @property
    def compute(self) -> Compute:
        """The device and its precision."""
        return self.execution.compute

    @property
    def randomness(self) -> torch.Generator:
        """The one generator of a run."""
        return self.execution.randomness

    @property
    def workers(self) -> Workers:
        """This process among those of the run."""
        return self.execution.workers

    @classmethod
    def of(
        cls, task: Task, teacher: nn.Module, student: nn.Module, settings: DistillSettings, *, mirror: bool = True
    ) -> MethodContext:
        """The context of one process, with both networks on the device of the settings."""
        seed_all(settings.seed)
        execution = Execution(
            compute=Compute.choose(settings.device, settings.precision, settings.capture),
            workers=Workers(),
            randomness=torch.Generator().manual_seed(settings.seed),
        )
        frozen(teacher)
        for network in (teacher, student):
            execution.compute.place(network)
        return cls(task=task, teacher=teacher, student=student, settings=settings, mirror=mirror, execution=execution)


MethodFunction = Callable[[MethodContext], Distiller]
