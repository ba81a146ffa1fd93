"""Small distillers on the fake task."""

from collections.abc import Callable

import pytest
import torch

from compress.compute import Compute
from compress.configuration import merged
from compress.distiller import Distiller
from compress.methods import METHODS, Ingredients
from compress.settings import DistillSettings
from compress.testing import FakeTask

SMALL = {
    "inversion": {"samples": 8, "steps": 2, "latent": 16, "width": 8},
    "replay": {"capacity": 24},
    "distillation": {"rounds": 4, "warmup": 1, "steps": 3, "batch": 6, "lr": 0.05},
}
MakeDistiller = Callable[..., Distiller]


@pytest.fixture
def make_distiller() -> MakeDistiller:
    """Makes a distiller on the fake task; further keywords are distillation settings."""

    def make(method: str = "ssd-kd", *, positions: bool = False, seed: int = 0, **distillation: int) -> Distiller:
        torch.manual_seed(seed)
        task = FakeTask(positions=positions)
        compute = Compute(torch.device("cpu"), torch.float32)
        settings = DistillSettings.model_validate(merged(SMALL, {"distillation": distillation}))
        randomness = torch.Generator().manual_seed(seed)
        return METHODS[method](Ingredients(task, task.teacher(), task.student(), settings, True, compute, randomness))

    return make
