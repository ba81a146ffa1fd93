"""A teacher without batch normalisation gets a substitute prior, is told so, and takes part in everything."""

import pytest
import torch
from torch import nn

from compress.distillation.round import Round
from compress.errors import UsageError
from compress.methods import METHODS
from compress.synthesis.input_prior import SMOOTHNESS, InputPrior, make_prior, total_variation
from compress.synthesis.priors import BatchNormPrior
from compress.tasks.models import NormalisedModel, create_model
from compress.testing import FakeTask
from compress.training.parallel import Workers


def without_batch_norm(*, positions: bool) -> nn.Module:
    """A small frozen teacher that normalises groups of channels within an image."""
    head = [] if positions else [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 4, 1), *head)
    return network.eval().requires_grad_(requires_grad=False)


def distance(teacher: nn.Module, images: torch.Tensor) -> torch.Tensor:
    prior = InputPrior(teacher, 0.9, Workers())
    with prior:
        teacher(images)
        return prior.distance()


def test_the_factory_takes_what_the_teacher_has_and_says_so_if_it_has_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert isinstance(make_prior(FakeTask(positions=False).teacher(), 0.9, Workers()), BatchNormPrior)
    assert capsys.readouterr().err == ""
    for name in ("test_vit", "test_convnext"):
        assert isinstance(make_prior(create_model("classification", name, 4), 0.9, Workers()), InputPrior)
        assert capsys.readouterr().err.count("the teacher has no batch normalisation") == 1


def test_distance_is_that_of_two_layers_of_normalised_images_plus_their_variation() -> None:
    teacher = NormalisedModel(without_batch_norm(positions=False), (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    images = torch.rand(8, 3, 9, 7)
    normalised = teacher.normalised(images)
    channels = torch.cat([normalised, normalised.mean(dim=1, keepdim=True)], dim=1)
    variance, mean = torch.var_mean(channels, dim=(0, 2, 3), correction=0)
    inside = channels.var(dim=(2, 3), correction=0).mean(dim=0)
    layers = ((1 - variance).norm() + mean.norm() + (1 - inside).norm()) / 2
    expected = layers + SMOOTHNESS * total_variation(normalised).mean()
    torch.testing.assert_close(distance(teacher, images), expected)


def test_a_teacher_that_does_not_say_how_it_normalises_is_taken_for_imagenets() -> None:
    network, images = without_batch_norm(positions=False), torch.rand(8, 3, 9, 9)
    torch.testing.assert_close(distance(network, images), distance(NormalisedModel(network), images))


def test_smooth_images_with_the_right_statistics_are_nearest() -> None:
    teacher = NormalisedModel(without_batch_norm(positions=False))
    ramp = torch.linspace(-1.7, 1.7, 16).expand(8, 3, 16, 16)
    images = ramp * teacher.std + teacher.mean
    shuffled = images.flatten(2)[..., torch.randperm(256)].view_as(images)
    flat = torch.randn(8, 3, 1, 1).expand_as(images) * teacher.std + teacher.mean
    coloured = torch.stack([ramp[:, 0], ramp[:, 0].flip(-1), ramp[:, 0].mT], dim=1) * teacher.std + teacher.mean
    for worse in (shuffled, flat, coloured, torch.zeros_like(images)):
        assert distance(teacher, images) < distance(teacher, worse)


def test_total_variation_is_the_mean_absolute_difference_of_neighbours() -> None:
    images = torch.tensor([[0.0, 1.0], [3.0, 7.0]]).view(1, 1, 2, 2)
    torch.testing.assert_close(total_variation(images), torch.tensor([(3 + 6) / 2 + (1 + 4) / 2]))


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("method", ["ssd-kd", "fast-dfkd"])
def test_every_term_takes_part_with_a_teacher_without_batch_norm(make_distiller, method: str, positions: bool) -> None:
    rounds: list[Round] = []
    teacher = without_batch_norm(positions=positions)
    make_distiller(method, positions=positions, teacher=teacher, rounds=25).run(rounds.append)
    assert {"bn", "one_hot", "adversarial", "kl", "admitted"} <= rounds[-1].numbers.keys()
    assert rounds[-1].numbers["bn"] < rounds[0].numbers["bn"]


@pytest.mark.parametrize("method", [n for n, m in METHODS.items() if not m.needs_collected and n != "cmi"])
def test_every_method_but_cmi_takes_such_a_teacher(make_distiller, method: str) -> None:
    rounds: list[Round] = []
    make_distiller(method, teacher=without_batch_norm(positions=False), rounds=2).run(rounds.append)
    assert len(rounds) == 2


def test_cmi_refuses_such_a_teacher_in_one_line(make_distiller) -> None:
    with pytest.raises(UsageError, match="it has none") as caught:
        make_distiller("cmi", teacher=without_batch_norm(positions=False))
    assert "\n" not in str(caught.value)
