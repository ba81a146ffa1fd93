"""Scores of label maps that others report: equal to torchmetrics, or counted by hand."""

import csv
import io

import numpy as np
import pytest
import torch
from torchmetrics.classification import (
    MulticlassF1Score,
    MulticlassJaccardIndex,
    MulticlassPrecision,
    MulticlassRecall,
)

from compress.task import TaskSpec
from compress.tasks.detailed_scores import BoundaryIoU, DetailedConfusion, confusion_csv

NAMES = ("background", "b", "c", "d", "e")
Maps = list[tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture
def maps(randomness: torch.Generator) -> Maps:
    """Two batches of logits and labels, some pixels of which do not count."""
    batches = []
    for size in (3, 2):
        targets = torch.randint(5, (size, 6, 9), generator=randomness)
        targets[torch.rand(targets.shape, generator=randomness) < 0.2] = 255
        batches.append((torch.randn(size, 5, 6, 9, generator=randomness), targets))
    return batches


def detailed(maps: Maps, names: tuple[str, ...] = NAMES) -> DetailedConfusion:
    metric = DetailedConfusion(names, 255)
    for logits, targets in maps:
        metric.update(logits, targets)
    return metric


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("mean_dice", MulticlassF1Score(5, average="macro", ignore_index=255)),
        ("mean_accuracy", MulticlassRecall(5, average="macro", ignore_index=255)),
        ("frequency_weighted_iou", MulticlassJaccardIndex(5, average="weighted", ignore_index=255)),
        ("dice", MulticlassF1Score(5, average="none", ignore_index=255)),
        ("precision", MulticlassPrecision(5, average="none", ignore_index=255)),
        ("recall", MulticlassRecall(5, average="none", ignore_index=255)),
    ],
)
def test_scores_are_those_of_torchmetrics_over_the_whole_set(name: str, oracle: torch.nn.Module, maps: Maps) -> None:
    for logits, targets in maps:
        oracle.update(logits.argmax(1), targets)
    ours, expected = detailed(maps).compute()[name], oracle.compute()
    assert (list(ours.values()) if isinstance(ours, dict) else ours) == pytest.approx(expected.tolist())


def test_the_background_is_left_out_of_one_of_two_means(maps: Maps) -> None:
    numbers = detailed(maps).compute()
    iou = list(numbers["iou"].values())
    assert numbers["miou"] == pytest.approx(np.mean(iou))
    assert numbers["miou_without_background"] == pytest.approx(np.mean(iou[1:]))
    assert "miou_without_background" not in detailed(maps, tuple("abcde")).compute()


def boundary(predicted: np.ndarray, true: np.ndarray) -> float:
    metric, classes = BoundaryIoU(2, 255), torch.from_numpy(predicted).long()
    metric.update(torch.nn.functional.one_hot(classes[None], 2).movedim(-1, 1).float(), torch.from_numpy(true)[None])
    return metric.compute()


def square(left: int, width: int = 20) -> np.ndarray:
    plane = np.zeros((60, 60), np.uint8)
    plane[20:40, left : left + width] = 1
    return plane


def test_boundary_iou_is_counted_by_hand_on_a_shifted_square() -> None:
    """Its strips are 2 pixels wide, 2 % of a diagonal of 85: what has another class within 5x5 pixels."""

    def strip(mask: np.ndarray) -> np.ndarray:
        padded = np.pad(mask, 2)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
        return mask & ~windows.all(axis=(2, 3))

    true, predicted = square(20), square(23)
    values = []
    for index in (0, 1):
        one, other = strip(true == index), strip(predicted == index)
        values.append((one & other).sum() / (one | other).sum())
    assert boundary(predicted, true) == pytest.approx(np.mean(values))


def test_boundaries_weigh_errors_there_more_than_iou_does() -> None:
    true, predicted = square(20), square(21)
    assert boundary(true, true) == 1
    assert boundary(predicted, true) < 0.95 * 19 / 21


def test_pixels_that_do_not_count_end_no_class() -> None:
    true = square(20)
    true[:, :30] = 255
    assert boundary(square(20), true) == 1


def test_the_confusion_matrix_is_a_table_of_true_by_predicted_class(maps: Maps) -> None:
    metric = detailed(maps)
    spec = TaskSpec(name="segmentation", image_shape=(3, 6, 9), class_names=("a, b", *NAMES[1:]), metric="miou")
    head, *rows = csv.reader(io.StringIO(confusion_csv(metric.counts, spec)))
    assert head == ["true / predicted", "a, b", *NAMES[1:]]
    assert [row[0] for row in rows] == head[1:]
    assert [[int(number) for number in row[1:]] for row in rows] == metric.counts.tolist()
    first = maps[0][1] == 0
    other = maps[1][1] == 0
    assert sum(map(int, rows[0][1:])) == int(first.sum() + other.sum())
