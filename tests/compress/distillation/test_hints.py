"""Hints compare the last maps of every common size, teach the student alone, and leave no hook behind."""

from pathlib import Path

import pytest
import torch
from torch import nn

from compress.distillation.distiller import Distiller
from compress.distillation.hints import Hints, feature_levels
from compress.distillation.round import Round
from compress.errors import UsageError
from compress.tasks.models import create_model

SHAPE = (3, 32, 32)


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return create_model("classification", name, 10)


def heard(hints: Hints, student: nn.Module, teacher: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with hints.listening():
        student(images)
        with torch.no_grad():
            teacher(images)
        return hints.distance()


def test_levels_are_the_outputs_of_the_stages() -> None:
    model = network("cifar_resnet20")
    levels = feature_levels(model, SHAPE)
    stages = [model.network.layer1, model.network.layer2, model.network.layer3]
    assert {size: (level.module, level.channels) for size, level in levels.items()} == {
        (side, side): (stage, width) for side, stage, width in zip((32, 16, 8), stages, (16, 32, 64), strict=True)
    }


def test_levels_of_a_segmenter_end_where_its_decoder_enlarges_again() -> None:
    levels = feature_levels(create_model("segmentation", "unet", 11), (3, 96, 96))
    encoder = {(48, 48): 64, (24, 24): 64, (12, 12): 128, (6, 6): 256, (3, 3): 512}
    assert {size: level.channels for size, level in levels.items()} == encoder


def test_logits_are_no_features_at_any_size() -> None:
    levels = feature_levels(create_model("segmentation", "deeplabv3", 11), (3, 96, 96))
    assert {size: level.channels for size, level in levels.items()} == {(48, 48): 64, (24, 24): 64, (12, 12): 256}


def test_channel_gates_do_not_end_the_way_down() -> None:
    levels = feature_levels(network("mobilenetv3_small_050"), (3, 64, 64))
    assert sorted(levels) == [(2, 2), (4, 4), (8, 8), (16, 16), (32, 32)]


def test_distance_is_the_relative_squared_error_and_zero_for_the_teacher_itself() -> None:
    teacher, student = network("cifar_resnet32").eval(), network("cifar_resnet20").eval()
    images = torch.rand(4, *SHAPE)
    assert heard(Hints(teacher, teacher, SHAPE, 1.0), teacher, teacher, images).abs().max() == 0
    maps = [
        [m.network.layer1(torch.relu(m.network.bn1(m.network.conv1(m.normalised(images)))))] for m in (student, teacher)
    ]
    for number in ("layer2", "layer3"):
        for own, model in zip(maps, (student, teacher), strict=True):
            own.append(getattr(model.network, number)(own[-1]))
    expected = sum(
        (small - big).pow(2).sum((1, 2, 3)) / big.pow(2).sum((1, 2, 3)) for small, big in zip(*maps, strict=True)
    )
    heard_by = heard(Hints(student, teacher, SHAPE, 1.0), student, teacher, images)
    torch.testing.assert_close(heard_by, expected)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        heard(Hints(student, teacher, SHAPE, 1.0), student, teacher, images[order]), heard_by[order]
    )


def test_the_student_and_the_projections_learn_and_the_teacher_does_not() -> None:
    teacher, student = network("cifar_wrn_16_2"), network("cifar_wrn_16_1")
    hints = Hints(student, teacher, SHAPE, 1.0)
    assert all(isinstance(projection, nn.Conv2d) for projection in hints.projections)
    heard(hints, student, teacher, torch.rand(2, *SHAPE)).mean().backward()
    assert all(parameter.grad is not None for parameter in hints.parameters())
    assert student.network.conv1.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_an_activation_that_is_used_at_several_sizes_is_told_apart() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, padding=1, stride=2)
            self.act, self.linear = nn.ReLU(), nn.Linear(5, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.linear(self.act(self.second(self.act(self.first(images)))).mean(dim=(2, 3)))

    torch.manual_seed(0)
    small, big = Shared(), Shared().eval()
    hints = Hints(small, big, SHAPE, 1.0)
    assert [level.channels for level in feature_levels(small, SHAPE).values()] == [4, 5]
    images, expected = torch.rand(2, *SHAPE), torch.zeros(2)
    maps = [[net.act(net.first(images))] for net in (small, big)]
    for own, net in zip(maps, (small, big), strict=True):
        own.append(net.act(net.second(own[0])))
    for mine, wanted in zip(*maps, strict=True):
        expected = expected + (mine - wanted).pow(2).sum((1, 2, 3)) / wanted.pow(2).sum((1, 2, 3))
    distance = heard(hints, small, big, images)
    assert distance.min() > 0
    torch.testing.assert_close(distance, expected)


def test_networks_without_a_common_size_are_refused() -> None:
    with pytest.raises(UsageError, match="no feature maps of the same size"):
        Hints(network("cifar_resnet20"), nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)), SHAPE, 1.0)


@pytest.mark.parametrize("positions", [False, True])
def test_a_run_with_hints_learns_them_leaves_no_hook_and_resumes_to_the_same_bits(
    make_distiller, positions: bool, tmp_path: Path
) -> None:
    def distiller() -> Distiller:
        return make_distiller(positions=positions, hints=5.0, rounds=6, steps=8)

    whole, part, rounds = distiller(), distiller(), []

    def stop(done: Round) -> None:
        if done.index == 2:
            torch.save(part.state_dict(), tmp_path / "state.pt")
            raise KeyboardInterrupt

    whole.run(rounds.append)
    assert rounds[-1].numbers["hints"] < rounds[1].numbers["hints"]
    networks = (whole.teacher, whole.student)
    assert not any(module._forward_hooks for network in networks for module in network.modules())
    with pytest.raises(KeyboardInterrupt):
        part.run(stop)
    part = distiller()
    part.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    part.run(rounds.append)
    states = [{**d.student.state_dict(), **d.hints.state_dict()} for d in (whole, part)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
