"""Every task keeps the one contract."""

import pytest
import torch
from torch import nn

from compress import losses
from compress.task import HeldOut, Task
from compress.tasks import held_out_of, make_task
from compress.tasks.data import open_data
from compress.tasks.models import create_model
from compress.testing import FakeTask, check_task

Parts = tuple[Task, HeldOut, nn.Module, nn.Module]


def real(name: str, teacher: str, student: str) -> Parts:
    source = open_data(None, name)
    classes = len(source.class_names)
    big, small = (create_model(name, network, classes) for network in (teacher, student))
    return make_task(source), held_out_of(source), big.eval().requires_grad_(requires_grad=False), small


def fake(*, positions: bool) -> Parts:
    task = FakeTask(positions=positions)
    return task, task, task.teacher(), task.student()


@pytest.mark.parametrize(
    "parts",
    [
        real("classification", "cifar_resnet20", "cifar_wrn_16_1"),
        real("segmentation", "fpn:tu-test_resnet", "unet:tu-test_resnet"),
        fake(positions=False),
        fake(positions=True),
    ],
    ids=["classification", "segmentation", "fake", "fake with positions"],
)
def test_the_contract_is_kept(parts: Parts) -> None:
    check_task(*parts)


def test_the_check_notices_a_teacher_that_is_not_frozen_and_data_of_another_task() -> None:
    task, held_out, teacher, student = fake(positions=False)
    with pytest.raises(AssertionError, match="one spec"):
        check_task(task, FakeTask(positions=False, classes=5), teacher, student)
    with pytest.raises(AssertionError, match="must be frozen"):
        check_task(task, held_out, teacher.requires_grad_(), student)


def test_every_class_of_a_classifier_counts() -> None:
    logits = torch.zeros(2, 1000)
    ignored = make_task(open_data(None, "classification")).spec.ignore_index
    assert (losses.cross_entropy(logits, torch.tensor([255, 0]), ignored) > 6).all()
