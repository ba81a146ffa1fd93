"""The student that a teacher gets where nobody names one."""

import pytest

from compress.errors import UsageError
from compress.runs import student_choice
from compress.runs.student_choice import choose_student
from compress.settings import DistillSettings
from compress.tasks.data import DataSource
from compress.tasks.data.no_data import without_images
from compress.tasks.models import NormalisedModel
from compress.teacher import Teacher
from compress.testing import FakeTask

BIG = Teacher(name="cifar_resnet18", origin="cifar_resnet18", classes=10)


@pytest.fixture
def small_images() -> DataSource:
    return without_images("classification", tuple("abcdefghij"), (3, 32, 32))


def limited(**limits: float) -> DistillSettings:
    return DistillSettings.model_validate(limits)


def test_it_has_about_a_quarter_of_the_parameters_and_the_line_says_what_else_there_is(
    small_images: DataSource, capsys: pytest.CaptureFixture[str]
) -> None:
    assert choose_student(BIG, small_images, limited()) == "cifar_wrn_40_2"
    said = capsys.readouterr().err
    assert "0.20 of the teacher's 11.17 M parameters (--student)" in said
    assert "others: cifar_resnet56 (0.85 M)" in said


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"max_params": 0.5}, "cifar_resnet32"),
        ({"max_mb": 3.0}, "cifar_wrn_16_2"),
        ({"max_params": 9, "max_mb": 1.2}, "cifar_resnet20"),
    ],
)
def test_within_limits_it_is_the_best_of_the_table(
    limits: dict[str, float], name: str, small_images: DataSource
) -> None:
    assert choose_student(BIG, small_images, limited(**limits)) == name


def test_the_best_that_is_fast_enough_is_found_without_timing_worse_ones(
    small_images: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {"cifar_wrn_40_2": 9.0, "cifar_resnet56": 4.0, "cifar_wrn_16_2": 2.0}
    monkeypatch.setattr(student_choice, "_milliseconds", lambda name, outputs, source: times[name])
    assert choose_student(BIG, small_images, limited(max_ms=3)) == "cifar_wrn_16_2"


def test_one_image_is_really_timed_in_onnxruntime(small_images: DataSource, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = NormalisedModel(FakeTask(positions=False).student())
    monkeypatch.setattr(student_choice, "create_model", lambda *_: tiny)
    assert 0 < student_choice._milliseconds("tiny", 10, small_images) < 10_000


@pytest.mark.parametrize(("task", "size"), [("classification", 32), ("classification", 224), ("segmentation", 224)])
def test_every_network_of_the_tables_can_be_made_and_the_best_is_last(task: str, size: int) -> None:
    table = list(student_choice._table(without_images(task, ("a", "b"), (3, size, size)), 2))
    assert len({one.name for one in table}) == len(table) >= 9
    assert min(table, key=lambda one: one.parameters) in table[:3]


def test_a_teacher_below_every_network_of_the_table_is_refused(small_images: DataSource) -> None:
    with pytest.raises(UsageError, match="name a student with `student`"):
        choose_student(Teacher(name="cifar_wrn_16_1", origin="x", classes=10), small_images, limited())
