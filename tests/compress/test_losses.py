"""Losses are one number a sample, whatever the positions."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from compress import losses
from compress.task import IGNORE_INDEX

PER_SAMPLE = {
    "kl": lambda s, t, y: losses.kl(s, t, 4.0),
    "cross_entropy": lambda s, t, y: losses.cross_entropy(s, y, IGNORE_INDEX),
    "adversarial": lambda s, t, y: losses.adversarial(s, t),
    "l1": lambda s, t, y: losses.l1(s, t),
    "jensen_shannon": lambda s, t, y: losses.jensen_shannon(s, t, 3.0),
    "agreement": lambda s, t, y: losses.agreement(s, t),
    "confidence": lambda s, t, y: losses.confidence(s),
}
SHAPES = [(5, 4), (5, 4, 6, 7)]


def logits_and_targets(shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    noise = torch.Generator().manual_seed(0)
    targets = torch.randint(shape[1], (shape[0], *shape[2:]), generator=noise)
    return torch.randn(shape, generator=noise), torch.randn(shape, generator=noise), targets


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PER_SAMPLE)
def test_permuting_samples_permutes_losses(name: str, shape: tuple[int, ...]) -> None:
    student, teacher, targets = logits_and_targets(shape)
    order = torch.tensor([3, 0, 4, 1, 2])
    values = PER_SAMPLE[name](student, teacher, targets)
    assert values.shape == (5,)
    torch.testing.assert_close(PER_SAMPLE[name](student[order], teacher[order], targets[order]), values[order])


@pytest.mark.parametrize("name", PER_SAMPLE)
def test_one_position_is_the_same_as_none(name: str) -> None:
    student, teacher, targets = logits_and_targets((5, 4))
    with_position = PER_SAMPLE[name](student[..., None, None], teacher[..., None, None], targets[..., None, None])
    torch.testing.assert_close(with_position, PER_SAMPLE[name](student, teacher, targets))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["kl", "cross_entropy", "adversarial", "l1", "jensen_shannon"])
def test_every_loss_has_a_gradient(name: str, shape: tuple[int, ...]) -> None:
    student, _, targets = logits_and_targets(shape)
    teacher = student + 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    student.requires_grad_()
    PER_SAMPLE[name](student, teacher, targets).sum().backward()
    assert student.grad is not None
    assert student.grad.abs().sum() > 0


def test_kl_is_that_of_torch_times_the_squared_temperature() -> None:
    student, teacher, _ = logits_and_targets((5, 4))
    expected = F.kl_div((student / 3).log_softmax(1), (teacher / 3).log_softmax(1), reduction="none", log_target=True)
    torch.testing.assert_close(losses.kl(student, teacher, 3.0), expected.sum(1) * 9)


@given(st.floats(0.5, 20))
def test_kl_of_equal_logits_is_zero_at_every_temperature(temperature: float) -> None:
    student, _, _ = logits_and_targets((5, 4, 6, 7))
    assert losses.kl(student, student, temperature).abs().max() < 1e-3


def test_ignored_positions_do_not_count() -> None:
    logits, _, targets = logits_and_targets((5, 4, 6, 7))
    ignored = targets.clone()
    ignored[:, :3] = 255
    torch.testing.assert_close(
        losses.cross_entropy(logits, ignored, IGNORE_INDEX),
        losses.cross_entropy(logits[:, :, 3:], targets[:, 3:], IGNORE_INDEX),
    )
    assert losses.cross_entropy(logits, torch.full_like(targets, 255), IGNORE_INDEX).sum() == 0


def test_adversarial_is_zero_where_the_classes_differ() -> None:
    teacher = torch.tensor([[4.0, 0.0], [4.0, 0.0]])
    student = torch.tensor([[0.0, 4.0], [1.0, 0.0]])
    values = losses.adversarial(student, teacher)
    assert values[0] == 0
    torch.testing.assert_close(values[1], -losses.kl(student, teacher)[1])


def test_confidence_of_an_undecided_teacher_is_one_over_k() -> None:
    torch.testing.assert_close(losses.confidence(torch.zeros(2, 4, 3, 3)), torch.full((2,), 0.25))


def test_class_shares_are_the_mean_probabilities_over_positions() -> None:
    logits = torch.tensor([[[0.0, 100.0], [0.0, 0.0]]])  # an even position, and one of the first class
    torch.testing.assert_close(losses.class_shares(logits), torch.tensor([[0.75, 0.25]]))
    torch.testing.assert_close(losses.class_shares(logits[..., 0]), torch.tensor([[0.5, 0.5]]))


def test_class_histogram_counts_positions() -> None:
    logits = F.one_hot(torch.tensor([[[0, 0], [0, 2]]]), 3).movedim(-1, 1).float()
    torch.testing.assert_close(losses.class_histogram(logits), torch.tensor([[0.75, 0.0, 0.25]]))
    assert math.isclose(losses.class_histogram(torch.randn(3, 5)).sum().item(), 3.0)
