"""Every task keeps the one contract."""

import pytest
import torch

from compress import losses
from compress.task import Task
from compress.tasks import make_task
from compress.tasks.data import open_data
from compress.tasks.models import create_model
from compress.testing import FakeTask, check_task


def real_task(name: str, teacher: str, student: str) -> Task:
    source = open_data(None, name)
    classes = len(source.class_names)
    return make_task(source, lambda: create_model(name, teacher, classes), lambda: create_model(name, student, classes))


@pytest.mark.parametrize(
    "task",
    [
        real_task("classification", "cifar_resnet20", "cifar_wrn_16_1"),
        real_task("segmentation", "fpn:tu-test_resnet", "unet:tu-test_resnet"),
        FakeTask(positions=False),
        FakeTask(positions=True),
    ],
    ids=["classification", "segmentation", "fake", "fake with positions"],
)
def test_the_contract_is_kept(task: Task) -> None:
    check_task(task)


def test_the_check_notices_a_broken_task() -> None:
    class Unfrozen(FakeTask):
        def teacher(self) -> torch.nn.Module:
            return super().teacher().requires_grad_()

    with pytest.raises(AssertionError, match="must be frozen"):
        check_task(Unfrozen(positions=False))


def test_every_class_of_a_classifier_counts() -> None:
    logits = torch.zeros(2, 1000)
    ignored = real_task("classification", "cifar_resnet20", "cifar_wrn_16_1").spec.ignore_index
    assert (losses.cross_entropy(logits, torch.tensor([255, 0]), ignored) > 6).all()
