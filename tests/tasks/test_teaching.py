"""Teaching a network on labelled images."""

import torch
from torch import nn

from compress.compute import Compute
from compress.tasks.data import LabelledImages
from compress.tasks.teaching import TeachingPlan, teach

PLAN = TeachingPlan(steps=3, batch=4, learning_rate=0.01, weight_decay=0.0, shift=1)


def losses_of(targets: torch.Tensor) -> list[float]:
    torch.manual_seed(0)
    positions = [] if targets.ndim > 1 else [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    model = nn.Sequential(nn.Conv2d(3, 300, 1), *positions)
    images, losses = torch.zeros(8, 3, 6, 6, dtype=torch.uint8), []
    compute = Compute.choose("cpu", "fp32")
    teach(model, LabelledImages(images, targets), PLAN, compute, 0, lambda *now: losses.append(now[2]), mirror=True)
    return losses


def test_a_class_whose_number_is_255_is_learnt() -> None:
    first, *_, last = losses_of(torch.full((8,), 255))
    assert first > last > 0


def test_pixels_of_255_are_not_learnt_from() -> None:
    half = torch.full((8, 6, 6), 7, dtype=torch.uint8)
    half[:, :3] = 255
    assert losses_of(half) == losses_of(torch.full((8, 6, 6), 7, dtype=torch.uint8))
