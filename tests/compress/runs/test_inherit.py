"""A student that begins with what its teacher has."""

from pathlib import Path

import torch
from torch import nn

import compress
from compress.runs.provenance import inherit
from compress.settings import DistillSettings
from compress.tasks.models import NormalisedModel
from compress.testing import FakeTask


def network(width: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, width, 3), nn.Conv2d(width, 2, 1))


def test_what_has_the_same_name_and_shape_is_the_teachers_and_the_rest_is_its_own() -> None:
    teacher, student, untouched = network(8, 0), network(6, 1), network(6, 1)
    teacher(torch.rand(2, 3, 8, 8))
    count = inherit(student, teacher)
    theirs, ours, before = (model.state_dict() for model in (teacher, student, untouched))
    same = {name for name in ours if theirs[name].shape == before[name].shape}
    assert count == len(same)
    assert {"0.weight", "1.running_mean", "3.bias"} <= same
    assert "2.weight" not in same
    for name, tensor in ours.items():
        assert torch.equal(tensor, (theirs if name in same else before)[name]), name


def test_the_student_keeps_its_own_normalisation() -> None:
    teacher = NormalisedModel(network(8, 0), (0.1,) * 3, (0.2,) * 3)
    student = NormalisedModel(network(8, 1), (0.5,) * 3, (0.6,) * 3)
    inherit(student, teacher)
    assert student.mean.flatten().tolist() == [0.5] * 3
    assert torch.equal(student.network[0].weight, teacher.network[0].weight)


def test_a_teacher_of_another_kind_leaves_the_student_as_it_is() -> None:
    student, untouched = network(6, 1), network(6, 1)
    assert inherit(student, nn.ModuleDict({"other": nn.Conv2d(3, 4, 3)})) == 0
    assert all(map(torch.equal, student.state_dict().values(), untouched.state_dict().values()))


def test_a_run_of_two_alike_begins_where_its_teacher_is(tmp_path: Path) -> None:
    """With a learning rate of next to nothing, the student ends where it began."""
    teacher, student = (FakeTask(positions=False, size=16).teacher() for _ in range(2))
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.requires_grad_().copy_(torch.randn_like(parameter))
    settings = {
        "device": "cpu",
        "precision": "fp32",
        "inversion": {"samples": 4, "steps": 1, "latent": 8, "width": 4},
        "distillation": {"rounds": 1, "warmup": 0, "steps": 1, "batch": 2, "lr": 1e-6, "inherit": True},
    }
    compress.distill(
        teacher,
        student,
        class_names=("a", "b", "c", "d"),
        image_shape=(3, 16, 16),
        settings=DistillSettings.model_validate(settings),
        out=tmp_path / "run",
        accept_any_student=True,
    )
    for one, other in zip(teacher.parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
