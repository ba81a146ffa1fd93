"""The batch-normalisation prior measures what the plain formula measures; like its substitute it leaves no hook."""

import pytest
import torch
from torch import nn

from compress.errors import UsageError
from compress.synthesis.input_prior import make_prior
from compress.synthesis.priors import BatchNormPrior, channel_moments
from compress.testing import FakeTask
from compress.training.parallel import Workers


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_channel_moments_and_their_gradients_are_those_of_var_mean(memory_format: torch.memory_format) -> None:
    features = torch.randn(4, 6, 5, 7, dtype=torch.float32).to(memory_format=memory_format)
    ours, plain = features.clone().requires_grad_(), features.clone().requires_grad_()
    mean, variance = channel_moments(ours)
    expected_variance, expected_mean = torch.var_mean(plain, dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(mean, expected_mean)
    torch.testing.assert_close(variance, expected_variance)
    for m, v, leaf in ((mean, variance, ours), (expected_mean, expected_variance, plain)):
        (m.square().sum() + (v * torch.arange(6)).sum()).backward()
        assert leaf.grad is not None
    torch.testing.assert_close(ours.grad, plain.grad)


def test_distance_is_the_papers_formula_averaged_over_layers() -> None:
    teacher = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    images = torch.rand(8, 3, 5, 5)
    prior = BatchNormPrior(teacher, 0.9, Workers())
    with prior:
        teacher(images)
        distance = prior.distance()
    features, expected = images, torch.zeros(())
    for layer in teacher:
        if isinstance(layer, nn.BatchNorm2d):
            variance, mean = torch.var_mean(features, dim=(0, 2, 3), correction=0)
            expected = expected + (layer.running_var - variance).norm() + (layer.running_mean - mean).norm()
        features = layer(features)
    torch.testing.assert_close(distance, expected / 2)


def test_distance_falls_when_the_images_are_those_of_training() -> None:
    teacher = FakeTask(positions=False).teacher()
    prior = BatchNormPrior(teacher, 0.9, Workers())
    with prior:
        teacher(torch.rand(64, 3, 16, 16))
        like_training = prior.distance()
        teacher(torch.zeros(64, 3, 16, 16))
        assert prior.distance() > 3 * like_training


def test_a_teacher_without_batch_normalisation_is_refused() -> None:
    with pytest.raises(UsageError, match="no batch normalisation"):
        BatchNormPrior(nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4)), 0.9, Workers())


@pytest.fixture(params=["batch normalisation", "the substitute"])
def teacher(request: pytest.FixtureRequest) -> nn.Module:
    """One for each of the two priors."""
    if request.param == "batch normalisation":
        return FakeTask(positions=False).teacher()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return network.eval().requires_grad_(requires_grad=False)


def test_hooks_are_gone_after_the_context_even_after_an_error(teacher: nn.Module) -> None:
    with pytest.raises(ZeroDivisionError), make_prior(teacher, 0.9, Workers()):
        raise ZeroDivisionError
    assert not any(module._forward_pre_hooks for module in teacher.modules())


def test_state_survives_a_round_trip(teacher: nn.Module) -> None:
    images = torch.rand(8, 3, 16, 16)
    first, second = make_prior(teacher, 0.9, Workers()), make_prior(teacher, 0.9, Workers())
    with first:
        teacher(images)
        first.distance()
        first.end_round(first.latest())
    second.load_state_dict(first.state_dict())
    distances = []
    for prior in (first, second):
        with prior:
            teacher(images / 2)
            distances.append(prior.distance())
    assert torch.equal(*distances)
