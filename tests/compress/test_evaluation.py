"""What counts as better than chance, by the metric that a teacher is judged by."""

import pytest
import torch

from compress.errors import UsageError
from compress.evaluation import Score, require_better_than_chance
from compress.tasks.metrics import ConfusionMatrix

NAMES = tuple("abcdefg")


def segmenter(answers: torch.Tensor, targets: torch.Tensor) -> Score:
    """The score of class answers to one image, both long `[pixels]`."""
    metric = ConfusionMatrix(NAMES, 255)
    metric.update(torch.eye(len(NAMES))[answers].T[None, :, None], targets[None, None])
    return Score("miou", metric.compute(), 1)


@pytest.mark.parametrize("skew", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("preference", [0.0, 1.0, 3.0])
def test_answers_that_ignore_the_image_are_chance_however_they_are_drawn(skew: float, preference: float) -> None:
    noise, classes = torch.Generator().manual_seed(0), torch.arange(len(NAMES))
    targets, answers = (
        torch.multinomial(torch.exp(-power * classes), 20_000, replacement=True, generator=noise)
        for power in (skew, preference)
    )
    constant = segmenter(torch.zeros_like(answers), targets)
    with pytest.raises(UsageError, match="not better than chance"):
        require_better_than_chance(segmenter(answers, targets), constant)


def test_a_segmenter_that_sees_a_third_of_the_pixels_is_better_than_chance_on_one_image() -> None:
    noise = torch.Generator().manual_seed(0)
    targets, guesses = torch.randint(len(NAMES), (2, 20_000), generator=noise)
    answers = torch.where(torch.rand(20_000, generator=noise) < 1 / 3, targets, guesses)
    require_better_than_chance(segmenter(answers, targets), segmenter(torch.zeros_like(answers), targets))


def test_a_classifier_has_to_beat_the_most_frequent_class_by_more_than_few_images_allow() -> None:
    def classifier(share: float, count: int) -> Score:
        return Score("top1", {"top1": share}, count)

    require_better_than_chance(classifier(0.4, 1_000), classifier(0.3, 1_000))
    with pytest.raises(UsageError, match="not better than chance"):
        require_better_than_chance(classifier(0.4, 100), classifier(0.3, 100))
