"""Teaching a network on labelled images."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from compress.tasks.data import DataSource, LabelledImages
from compress.tasks.teaching import TeachingPlan, Training
from compress.training.compute import Compute

PLAN = TeachingPlan(steps=6, batch=4, learning_rate=0.02, weight_decay=0.0, shift=1)
CLASSES = 300


def training(targets: torch.Tensor, plan: TeachingPlan = PLAN, size: int = 6) -> Training:
    """Eight random images of 6x6 pixels; a network that looks at single pixels, or at the mean of all."""
    torch.manual_seed(0)
    positions = [] if targets.ndim > 1 else [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    model = nn.Sequential(nn.Conv2d(3, CLASSES, 1), nn.Dropout(0.1), *positions)
    pixels = torch.randint(256, (8, 3, 6, 6), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    data = LabelledImages(pixels, targets)
    names = tuple(map(str, range(CLASSES)))
    task = "segmentation" if positions == [] else "classification"
    source = DataSource(
        name="made up",
        task=task,
        class_names=names,
        image_shape=(3, size, size),
        training=lambda: data,
        held_out=lambda: data,
    )
    return Training(model, data, source, plan, Compute.choose("cpu", "fp32"), 0)


def losses_of(taught: Training) -> list[float]:
    losses: list[float] = []
    taught.run(lambda done, loss: losses.append(loss))
    return losses


def maps(left: int, right: int) -> torch.Tensor:
    labels = torch.full((8, 6, 6), left, dtype=torch.uint8)
    labels[:, :, 3:] = right
    return labels


def test_a_class_whose_number_is_255_is_learnt() -> None:
    losses = losses_of(training(torch.full((8,), 255)))
    assert losses[-1] < losses[0]


def test_pixels_of_255_are_not_learnt_from() -> None:
    changed = maps(7, 255)
    taught, same = training(changed), training(changed)
    same.data.images[:, :, :, 3:] = 0
    for each in (taught, same):
        torch.manual_seed(5)  # dropout draws from the global generator
        losses_of(each)
    for one, other in zip(taught.model.parameters(), same.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"loss": "focal"},
        {"class_weights": True},
        {"loss": "focal", "class_weights": True},
        {"optimizer": "sgd", "schedule": "poly"},
        {"zoom": 2.0},
    ],
    ids=str,
)
def test_every_recipe_lowers_its_loss(change: dict) -> None:
    losses = losses_of(training(maps(7, 7), replace(PLAN, steps=30, **change)))
    assert losses[-1] < 0.9 * losses[0]


def test_the_focal_loss_looks_away_from_what_is_sure() -> None:
    taught = training(maps(1, 1), replace(PLAN, loss="focal"))
    logits = torch.zeros(1, CLASSES, 6, 6)
    logits[:, 1, :3] = 12.0
    sure_and_unsure = taught._loss(logits, torch.ones(1, 6, 6, dtype=torch.long))
    torch.testing.assert_close(sure_and_unsure, torch.tensor(0.5 * 5.7038 * (1 - 1 / 300) ** 2), rtol=1e-3, atol=0)


def test_rare_classes_weigh_more() -> None:
    labels = maps(0, 0)
    labels[:, 0, 0] = 1
    weights = training(labels, replace(PLAN, class_weights=True))._weights
    assert weights is not None
    assert weights[1] > 5 * weights[0]
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0))


def test_windows_may_be_smaller_than_the_images() -> None:
    taught = training(maps(7, 9), size=4)
    images, targets = taught._drawn()
    assert images.shape == (4, 3, 4, 4)
    assert set(targets.unique().tolist()) <= {7, 9}


def test_a_lesson_taken_up_again_ends_like_one_that_was_not_interrupted() -> None:
    class Stop(Exception):
        pass

    def stop(done: int, _: float) -> None:
        if done == 3:
            raise Stop

    whole, stopped, continued = (training(maps(7, 8)) for _ in range(3))
    torch.manual_seed(5)
    losses_of(whole)
    torch.manual_seed(5)
    with pytest.raises(Stop):
        stopped.run(stop)
    continued.load_state_dict(stopped.state_dict())
    losses_of(continued)
    for one, other in zip(whole.model.parameters(), continued.model.parameters(), strict=True):
        assert torch.equal(one, other)
