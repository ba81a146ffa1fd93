"""What tells a user without data how a run goes: even classes, known statistics, answers that vary little."""

import copy

import pytest
import torch
from torch import Tensor, nn

from compress.distillation.distillation_loss import SoftLabels
from compress.distillation.sample_measures import MOST_IMAGES, SampleMeasures
from compress.distillation.student_step import StudentStep
from compress.methods import METHODS
from compress.synthesis.inversion_loss import labelled
from compress.testing import FakeTask
from compress.training.compute import CPU_FLOAT32
from compress.training.execution import Execution
from compress.training.parallel import Workers

BOTH_TASKS = pytest.mark.parametrize("positions", [False, True], ids=["classification", "segmentation"])
NEW_NUMBERS = {"evenness", "bn_distance", "answer_spread"}


def measured(teacher: nn.Module, images: Tensor) -> dict[str, float]:
    samples = labelled(teacher, images, None, CPU_FLOAT32)
    return SampleMeasures(teacher, CPU_FLOAT32)(samples, 1)


class Brightest(nn.Module):
    """Answers with the brightest of four quarters of the image, surely."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.scale = nn.BatchNorm2d(3), nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        self.norm(images)
        return 100 * self.scale * nn.functional.adaptive_avg_pool2d(images.mean(dim=1, keepdim=True), 2).flatten(1)


def quarters(*classes: int) -> Tensor:
    """An image `[n, 3, 4, 4]` for each class that `Brightest` answers."""
    small = nn.functional.one_hot(torch.tensor(classes), 4).float().view(-1, 1, 2, 2)
    return nn.functional.interpolate(small, size=4).repeat(1, 3, 1, 1)


@pytest.mark.parametrize(("classes", "evenness"), [((0, 1, 2, 3), 1.0), ((0, 0, 1, 1), 0.5), ((2, 2), 0.0)])
def test_evenness_is_the_entropy_of_the_classes_that_the_teacher_answers(classes, evenness: float) -> None:
    assert measured(Brightest().eval(), quarters(*classes))["evenness"] == pytest.approx(evenness)


@BOTH_TASKS
def test_the_distance_is_small_for_images_like_the_teachers_own_and_grows_with_their_darkness(positions: bool) -> None:
    teacher, noise = FakeTask(positions=positions).teacher(), torch.rand(64, 3, 16, 16)
    own, darker, dark = (measured(teacher, scale * noise)["bn_distance"] for scale in (1.0, 0.5, 0.1))
    assert own < 0.2 * darker < darker < dark


def test_the_distance_is_that_of_samples_as_they_are_and_of_no_more_at_once_than_were_made_at_once() -> None:
    teacher, noise = FakeTask(positions=False).teacher(), torch.rand(2 * MOST_IMAGES, 3, 16, 16)
    judge, heard = SampleMeasures(teacher, CPU_FLOAT32), []
    handle = teacher.register_forward_hook(lambda network, inputs, logits: heard.append(len(inputs[0])))
    samples = labelled(teacher, noise, None, CPU_FLOAT32)
    whole, part = (judge(samples, parts)["bn_distance"] for parts in (1, 4))
    handle.remove()
    assert heard == [2 * MOST_IMAGES, MOST_IMAGES, 2 * MOST_IMAGES // 4]
    assert part == pytest.approx(whole, abs=0.5)
    assert not teacher[1]._forward_pre_hooks


@pytest.mark.parametrize("teacher", [
    nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
])  # fmt: skip
def test_a_teacher_without_statistics_has_no_distance(teacher: nn.Module) -> None:
    assert measured(teacher.eval(), torch.rand(4, 3, 8, 8)).keys() == {"confidence", "evenness"}


def spread(*batches: Tensor) -> dict[str, float]:
    """What the steps of a student on these batches come to."""
    teacher = Brightest().eval()
    student = copy.deepcopy(teacher)
    execution = Execution(compute=CPU_FLOAT32, workers=Workers(), randomness=torch.Generator())
    step = StudentStep(
        teacher=teacher, student=student, loss=SoftLabels(1.0), hints=None,
        optimizer=torch.optim.SGD(student.parameters(), 0.0), execution=execution,
    )  # fmt: skip
    totals = [step(images, torch.ones(len(images)), 0.0).totals.clone() for images in batches]
    return step.read(torch.stack(totals).sum(dim=0))


def test_batches_of_the_same_classes_have_no_spread_and_batches_of_one_class_each_much() -> None:
    even = quarters(0, 1, 2, 3)
    assert spread(even, even.flip(0), even)["answer_spread"] == pytest.approx(0.0, abs=1e-3)
    # two of four classes have the shares 0 and 1, whose standard deviation is a half
    assert spread(quarters(0, 0), quarters(1, 1))["answer_spread"] == pytest.approx(0.25)


def test_the_spread_is_of_the_steps_that_were_taken_and_one_has_none() -> None:
    broken = torch.full((2, 3, 4, 4), float("nan"))
    one, two = spread(quarters(0, 0), broken), spread(quarters(0, 0), broken, quarters(1, 1))
    assert (one["skipped"], two["skipped"]) == (1.0, 1.0)
    assert "answer_spread" not in one
    assert two["answer_spread"] == pytest.approx(0.25)
    assert spread(broken).keys() == {"skipped"}


@BOTH_TASKS
@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.needs_collected])
def test_every_method_has_the_three_numbers_in_every_round_that_trains_the_student(
    make_distiller, method: str, positions: bool
) -> None:
    rounds = []
    make_distiller(method, positions=positions, rounds=2, warmup=1).run(rounds.append)
    first, last = (done.numbers for done in rounds)
    assert NEW_NUMBERS - first.keys() == {"answer_spread"}
    assert last.keys() >= NEW_NUMBERS
    assert 0 <= last["evenness"] <= 1
