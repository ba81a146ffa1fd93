"""Before a student or a file counts as good: it keeps the metric, and it is better than no answer at all."""

import pytest
import torch
from torch import nn

from compress.errors import GateError, UsageError
from compress.replay.stored_samples import in_turns
from compress.runs.evaluation import Score, require_better_than_chance
from compress.runs.gates import MOST_LOST, comparison_images, require_kept, worthless
from compress.runs.unlabelled import AGREEMENT, Agreement
from compress.tasks.data import open_data
from compress.tasks.metrics import ConfusionMatrix, TopAccuracy

NAMES = tuple("abcdefghij")


def scored(logits: torch.Tensor, labels: torch.Tensor, names: tuple[str, ...] = NAMES) -> Score:
    metric = TopAccuracy(names)
    metric.update(logits, labels)
    return Score(metric="top1", numbers=metric.compute(), count=len(labels), chance=metric.chance()["top1"])


def right(labels: torch.Tensor, classes: int = 10) -> torch.Tensor:
    return nn.functional.one_hot(labels, classes).float()


def test_a_file_of_which_classes_were_exchanged_does_not_keep_the_score() -> None:
    model, file = (
        Score(metric="top1", numbers={"top1": 0.9165}, count=10_000),
        Score(metric="top1", numbers={"top1": 0.386}, count=10_000),
    )
    with pytest.raises(GateError, match=r"the file loses 0\.5305 of top1"):
        require_kept(model, file, MOST_LOST, "do not use it")
    with pytest.raises(GateError):
        require_kept(model, Score(metric="top1", numbers={"top1": float("nan")}, count=10_000), MOST_LOST, "")
    require_kept(model, Score(metric="top1", numbers={"top1": 0.9160}, count=10_000), MOST_LOST, "")


def test_a_student_that_gives_one_answer_is_worthless_and_one_that_learnt_something_is_not() -> None:
    labels = torch.arange(1000) % 10
    constant, noise = torch.zeros(1000, 10), torch.Generator().manual_seed(0)
    constant[:, 3] = 1
    half = torch.where(torch.rand(1000, 1, generator=noise) < 0.5, right(labels), constant)
    assert "no better than an answer that ignores the image: top1 0.1000" in worthless(scored(constant, labels))
    assert worthless(scored(half, labels)) == ""


def test_without_labels_a_student_has_to_beat_the_teachers_commonest_answer() -> None:
    teacher = torch.tensor([0] * 60 + [1] * 40)
    for share, said in ((right(torch.zeros(100, dtype=torch.long), 3), True), (right(teacher, 3), False)):
        metric = Agreement()
        for part in (slice(0, 50), slice(50, 100)):
            metric.update(share[part], teacher[part])
        score = Score(metric=AGREEMENT, numbers=metric.compute(), count=100, chance=metric.chance()[AGREEMENT])
        assert score.chance == 0.6
        assert bool(worthless(score)) == said


@pytest.mark.parametrize("labels", [[0, 1] * 4, [0] * 7 + [1], [0] * 8, [0], [0, 1]], ids=str)
def test_a_perfect_teacher_passes_on_few_images_and_of_one_class(labels: list[int]) -> None:
    truth = torch.tensor(labels)
    perfect = scored(right(truth, 2), truth, ("a", "b"))
    assert 0 <= perfect.chance < 1
    require_better_than_chance(perfect)
    maps = ConfusionMatrix(("a", "b"), 255)
    maps.update(right(truth, 2).view(1, -1, 2, 1).movedim(2, 1), truth.view(1, -1, 1))
    assert maps.compute()["miou"] > maps.chance()["miou"]


def test_a_teacher_that_gives_one_answer_is_still_refused_on_few_images() -> None:
    truth = torch.tensor([0, 1] * 4)
    with pytest.raises(UsageError, match="not better than chance"):
        require_better_than_chance(scored(right(torch.zeros(8, dtype=torch.long), 2), truth, ("a", "b")))


def test_a_file_is_compared_on_images_of_every_class_from_all_over_the_data() -> None:
    histogram = torch.zeros(100, 4)
    histogram[range(100), [0] * 97 + [1, 2, 3]] = 255
    images = torch.arange(100).view(-1, 1, 1, 1).expand(100, 3, 32, 32).to(torch.uint8)
    ordered = in_turns({"images": images, "histogram": histogram.to(torch.uint8)})
    assert sorted(ordered[:4, 0, 0, 0].tolist()) == [0, 97, 98, 99]
    source = open_data("digits", "classification")
    shown = comparison_images(source, ordered)
    assert shown.shape == (128 + 100, 3, 32, 32)
    assert torch.equal(shown[127], source.held_out().images[-1].float() / 255)
    assert in_turns({}) is None
