"""Small finished runs, with a class that is called what no page should run."""

import pytest
import torch

from compress.api import distill
from compress.settings import DistillSettings
from compress.storage.run_directory import RunDirectory
from compress.testing import FakeTask

HOSTILE = "<script>alert(1)</script>"
NAMES = ("a & b", HOSTILE, "cat", "dog")
SMALL = {
    "device": "cpu",
    "precision": "fp32",
    "inversion": {"samples": 8, "steps": 1, "latent": 16, "width": 8},
    "distillation": {"rounds": 4, "warmup": 1, "steps": 2, "batch": 4, "optimizer": "adamw", "lr": 0.01},
}


@pytest.fixture(scope="session", params=["classification", "segmentation"])
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of either task that went to its end; its teacher is right about every plain colour."""
    fake = FakeTask(positions=request.param == "segmentation")
    teacher, folder = fake.teacher(), tmp_path_factory.mktemp("runs") / "run"
    colours = torch.randint(256, (400, 3, 1, 1), generator=torch.Generator().manual_seed(0))
    images = colours.to(torch.uint8).repeat(1, 1, 16, 16)
    distill(
        teacher,
        fake.student(),
        class_names=NAMES,
        image_shape=(3, 16, 16),
        settings=DistillSettings.model_validate({**SMALL, "task": request.param}),
        held_out=(images, teacher(images / 255).argmax(dim=1)),
        out=folder,
        accept_any_student=True,
    )
    return RunDirectory(folder)
