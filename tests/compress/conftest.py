"""Small distillers on the fake task, and the command line called in this process."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import nn

from compress.cli import main
from compress.distillation.distiller import Distiller
from compress.methods import METHODS, MethodContext
from compress.settings import DistillSettings
from compress.storage.settings_files import merged
from compress.testing import FakeTask
from compress.training.compute import CPU_FLOAT32
from compress.training.execution import Execution
from compress.training.parallel import Workers

SMALL = {
    "inversion": {"samples": 8, "steps": 2, "latent": 16, "width": 8},
    "replay": {"capacity": 24},
    "distillation": {"rounds": 4, "warmup": 1, "steps": 3, "batch": 6, "lr": 0.05},
}
MakeDistiller = Callable[..., Distiller]


@pytest.fixture
def make_distiller() -> MakeDistiller:
    """Makes a distiller on the fake task; further keywords are distillation settings."""

    def make(
        method: str = "ssd-kd",
        *,
        positions: bool = False,
        seed: int = 0,
        teacher: nn.Module | None = None,
        student: nn.Module | None = None,
        inversion: Mapping[str, float] | None = None,
        **distillation: int,
    ) -> Distiller:
        torch.manual_seed(seed)
        task = FakeTask(positions=positions)
        compute = CPU_FLOAT32
        settings = DistillSettings.model_validate(
            merged(METHODS[method].defaults, SMALL, {"distillation": distillation, "inversion": inversion or {}})
        )
        randomness = torch.Generator().manual_seed(seed)
        teacher, student = teacher or task.teacher(), student or task.student()
        return METHODS[method].build(
            MethodContext(
                task=task,
                teacher=teacher,
                student=student,
                settings=settings,
                mirror=True,
                execution=Execution(compute=compute, workers=Workers(), randomness=randomness),
            )
        )

    return make


@pytest.fixture
def run() -> Callable[..., int]:
    """Calls `compress` with words of any type and returns its exit code."""

    def call(*words: object) -> int:
        with pytest.raises(SystemExit) as stopped:
            main([str(word) for word in words])
        code = stopped.value.code
        assert isinstance(code, int)
        return code

    return call
