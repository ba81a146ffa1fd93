"""What counts as better than chance, by the number that a teacher is judged by."""

from dataclasses import replace

import pytest
import torch

from compress.errors import UsageError
from compress.runs.evaluation import Score, evaluate, require_better_than_chance
from compress.task import Metric, Tabulated
from compress.tasks.metrics import ConfusionMatrix, TopAccuracy
from compress.testing import FakeTask
from compress.training.compute import Compute

NAMES = tuple("abcdefg")
HEADLINES = ["miou", "pixel_accuracy", "top1", "top5"]


def empty(headline: str) -> Metric:
    return TopAccuracy(NAMES) if headline.startswith("top") else ConfusionMatrix(NAMES, 255)


def scored(headline: str, answers: torch.Tensor, targets: torch.Tensor) -> Score:
    """The score of class answers, both long `[n]`: of the pixels of one image, or of n images."""
    metric = empty(headline)
    logits = torch.eye(len(NAMES))[answers]
    if headline.startswith("top"):
        metric.update(logits, targets)
    else:
        metric.update(logits.T[None, :, None], targets[None, None])
    assert isinstance(metric, Tabulated)
    return Score(metric=headline, numbers=metric.compute(), count=1, chance=metric.chance()[headline])


@pytest.mark.parametrize("headline", ["miou", "pixel_accuracy", "top1"])
@pytest.mark.parametrize("skew", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("preference", [0.0, 1.0, 3.0])
def test_answers_that_ignore_the_image_are_chance_however_they_are_drawn(
    skew: float, preference: float, headline: str
) -> None:
    noise, classes = torch.Generator().manual_seed(0), torch.arange(len(NAMES))
    targets, answers = (
        torch.multinomial(torch.exp(-power * classes), 20_000, replacement=True, generator=noise)
        for power in (skew, preference)
    )
    with pytest.raises(UsageError, match="not better than chance"):
        require_better_than_chance(scored(headline, answers, targets))


@pytest.mark.parametrize("headline", HEADLINES)
def test_who_has_one_answer_to_everything_is_chance(headline: str) -> None:
    targets = torch.tensor([0, 1, 1, 2, 2, 2, 3, 4, 5, 6])
    with pytest.raises(UsageError, match="not better than chance"):
        require_better_than_chance(scored(headline, torch.full_like(targets, 2), targets))


@pytest.mark.parametrize("headline", ["miou", "pixel_accuracy", "top1"])
def test_who_sees_a_third_of_the_positions_is_better_than_chance(headline: str) -> None:
    noise = torch.Generator().manual_seed(0)
    targets, guesses = torch.randint(len(NAMES), (2, 20_000), generator=noise)
    answers = torch.where(torch.rand(20_000, generator=noise) < 1 / 3, targets, guesses)
    require_better_than_chance(scored(headline, answers, targets))


def test_classes_that_are_nowhere_do_not_make_mean_iou_easier() -> None:
    targets = torch.tensor([0, 1] * 50)
    assert scored("miou", torch.zeros_like(targets), targets).chance == 1 / 2
    assert scored("miou", torch.full_like(targets, 6), targets).chance == 1 / 3


def test_a_classifier_has_to_beat_the_most_frequent_class_by_more_than_few_images_allow() -> None:
    targets = torch.cat([torch.zeros(30, dtype=torch.long), 1 + torch.arange(70) % 6])
    answers = torch.where(torch.arange(100) < 40, targets, (targets + 1) % 7)
    require_better_than_chance(scored("top1", answers.repeat(10), targets.repeat(10)))
    with pytest.raises(UsageError, match="not better than chance"):
        require_better_than_chance(scored("top1", answers, targets))


@pytest.mark.parametrize("headline", HEADLINES)
def test_before_anything_was_counted_nothing_is_better_than_chance(headline: str) -> None:
    none = torch.zeros(0, dtype=torch.long)
    with pytest.raises(UsageError, match="not better than chance"):
        require_better_than_chance(scored(headline, none, none))


def test_a_metric_without_counts_by_class_has_no_chance_to_beat() -> None:
    task = FakeTask(positions=False)
    score = evaluate(task.teacher(), task, Compute.choose("cpu", "fp32"))
    assert score.chance is None
    require_better_than_chance(replace(score, numbers={"accuracy": 0.0}))
