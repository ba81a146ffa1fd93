"""Metrics equal torchmetrics' over the whole data set."""

import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from compress.tasks.metrics import ConfusionMatrix, TopAccuracy

NAMES = ("a", "b", "c", "d", "e", "f", "g")


def batches(*shape: int, ignore: bool = False) -> list[tuple[torch.Tensor, torch.Tensor]]:
    noise = torch.Generator().manual_seed(0)
    computed = []
    for size in (5, 3):
        targets = torch.randint(7, (size, *shape), generator=noise)
        if ignore:
            targets[torch.rand(targets.shape, generator=noise) < 0.2] = 255
        computed.append((torch.randn(size, 7, *shape, generator=noise), targets))
    return computed


def test_miou_is_that_of_torchmetrics_over_the_whole_set_with_ignored_pixels() -> None:
    ours = ConfusionMatrix(NAMES, 255)
    oracle = MulticlassJaccardIndex(7, average="none", ignore_index=255)
    for logits, targets in batches(6, 9, ignore=True):
        ours.update(logits, targets)
        oracle.update(logits.argmax(1), targets)
    numbers = ours.compute()
    expected = oracle.compute()
    assert list(numbers["iou"].values()) == pytest.approx(expected.tolist())
    assert numbers["miou"] == pytest.approx(expected.mean().item())


def test_a_class_that_appears_nowhere_does_not_count() -> None:
    metric = ConfusionMatrix(("a", "b", "c"), 255)
    metric.update(torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]]]]), torch.tensor([[[0, 1]]]))
    assert metric.compute() == {"miou": 1.0, "pixel_accuracy": 1.0, "iou": {"a": 1.0, "b": 1.0}}


def test_iou_of_a_hand_counted_map() -> None:
    metric = ConfusionMatrix(("a", "b"), 255)
    predicted = torch.tensor([[[0, 0, 1, 1]]])
    logits = torch.nn.functional.one_hot(predicted, 2).movedim(-1, 1).float()
    metric.update(logits, torch.tensor([[[0, 1, 1, 255]]]))
    assert metric.compute()["iou"] == {"a": 0.5, "b": 0.5}
    assert metric.compute()["pixel_accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("top", [1, 5])
def test_accuracy_is_that_of_torchmetrics(top: int) -> None:
    ours, oracle = TopAccuracy(NAMES), MulticlassAccuracy(7, top_k=top, average="micro")
    for logits, targets in batches():
        ours.update(logits, targets)
        oracle.update(logits, targets)
    assert ours.compute()[f"top{top}"] == pytest.approx(oracle.compute().item())


def test_accuracy_by_class_is_that_of_torchmetrics_where_a_class_has_images() -> None:
    ours, oracle = TopAccuracy(NAMES), MulticlassAccuracy(7, average="none")
    for logits, targets in batches():
        ours.update(logits, targets)
        oracle.update(logits, targets)
    present = ours.counts.sum(dim=1) > 0
    assert 1 < present.sum() < 7
    expected = dict(zip(NAMES, oracle.compute().tolist(), strict=True))
    assert ours.compute()["accuracy"] == {
        name: pytest.approx(expected[name]) for name, there in zip(NAMES, present, strict=True) if there
    }


def test_nothing_counted_is_zero_and_not_a_crash() -> None:
    assert TopAccuracy(NAMES).compute() == {"top1": 0.0, "top5": 0.0, "accuracy": {}}
