"""What is said of a run before it takes long."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from compress.methods import MethodContext, find_method
from compress.runs import forecast
from compress.runs.forecast import say_beginning, seconds_a_step
from compress.runs.rounds import lead
from compress.settings import DistillSettings
from compress.storage.run_directory import RunDirectory
from compress.testing import FakeTask
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers
from compress.training.random_state import random_state, seed_all

CPU = Compute.choose("cpu", "fp32")
SMALL = {
    "inversion": {"samples": 8, "steps": 1, "latent": 8, "width": 4},
    "distillation": {"rounds": 5, "warmup": 2, "steps": 3, "batch": 12},
}


def small(**distillation: int) -> MethodContext:
    seed_all(0)
    task = FakeTask(positions=False)
    settings = DistillSettings.model_validate({**SMALL, "distillation": SMALL["distillation"] | distillation})
    return MethodContext(
        task=task,
        teacher=task.teacher(),
        student=task.student(),
        settings=settings,
        mirror=True,
        execution=Execution(compute=CPU, workers=Workers(), randomness=torch.Generator().manual_seed(0)),
    )


def test_measuring_a_step_changes_nothing() -> None:
    model, images = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)).eval(), torch.rand(2, 3, 8, 8)
    weights, numbers = copy.deepcopy(model.state_dict()), random_state()["torch"]
    seconds = seconds_a_step(model, images, CPU)
    assert seconds is not None
    assert 0 < seconds < 10
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())
    assert torch.equal(numbers, random_state()["torch"])
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_cannot_be_measured_is_not_guessed() -> None:
    class Alone(nn.Conv2d):
        def __deepcopy__(self, memo: object) -> "Alone":
            raise TypeError("there is only one of me")

    assert seconds_a_step(Alone(3, 4, 3), torch.rand(2, 3, 8, 8), CPU) is None


def test_a_run_begins_with_what_it_makes_and_who_learns_how_much(capsys: pytest.CaptureFixture[str]) -> None:
    context = small()
    say_beginning(context, find_method("fast-dfkd").build(context))
    made, taught = capsys.readouterr().err.splitlines()
    assert made == "makes: 40 images in 5 rounds by fast-dfkd, from the teacher alone"
    assert "9 steps of 12 images" in taught
    assert "parameters (teacher: " in taught


@pytest.mark.parametrize(("warmup", "step", "expected"), [(2, 10.0, "1:3"), (0, 10_000.0, "0:0")])
def test_the_first_round_tells_how_long_all_take(
    warmup: int,
    step: float,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """9 steps of 10 s were not part of a round without lessons; a round with lessons has measured them itself."""
    monkeypatch.setattr(forecast, "seconds_a_step", lambda *_: step)
    distiller = find_method("ssd-kd").build(small(warmup=warmup, steps=3, batch=8))
    lead(distiller, RunDirectory.create(tmp_path / "run"), {"history": []}, picture=distiller.task.picture)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("takes:")]
    assert f"about {expected}" in line
