"""What sets the baselines apart: where their images come from, and how long those stay."""

import pytest
import torch
from torch import nn

from compress.methods import METHODS
from compress.testing import FakeTask
from compress.training.random_numbers import RandomNumbers

TRAINED_GENERATOR = ["dafl", "dfad", "dfq", "zskt"]
AGAINST_THE_STUDENT = {
    "ssd-kd": "adversarial",
    "fast-dfkd": "adversarial",
    "cmi": "adversarial",
    "deep-inversion": "competition",
    "dfad": "logit_distance",
    "dfq": "disagreement",
    "zskt": "disagreement",
}


@pytest.mark.parametrize("method", AGAINST_THE_STUDENT)
def test_the_adversary_is_the_student_and_not_the_teacher(make_distiller, method: str) -> None:
    values = []
    for sharpness in (1.0, 0.5):
        student = FakeTask(positions=False).teacher().requires_grad_()
        for parameter in student[3].parameters():
            parameter.data.mul_(sharpness)
        distiller = make_distiller(method, student=student)
        values.append(distiller.inversion.round(1, torch.Generator().manual_seed(0))[1][AGAINST_THE_STUDENT[method]])
    assert values[0] == pytest.approx(0, abs=1e-6)
    assert values[1] < -1e-4


def test_every_method_with_an_adversary_is_checked_for_it() -> None:
    data_free = {name for name, method in METHODS.items() if not method.needs_collected}
    assert data_free - set(AGAINST_THE_STUDENT) == {"dafl"}


@pytest.mark.parametrize("positions", [False, True], ids=["classification", "segmentation"])
@pytest.mark.parametrize("method", TRAINED_GENERATOR)
def test_a_trained_generator_makes_new_images_for_the_steps_of_one_round(make_distiller, method, positions) -> None:
    distiller = make_distiller(method, positions=positions, rounds=3)
    rounds = []
    distiller.run(rounds.append)
    images = distiller.buffer.draw(200, RandomNumbers(0, distiller.compute.device)).images
    newest = {image.numpy().tobytes() for image in rounds[-1].samples.images}
    assert len(rounds[-1].samples.images) == 3 * 6
    assert {image.numpy().tobytes() for image in images} <= newest
    with torch.no_grad():
        answers = distiller.teacher(rounds[-1].samples.images / 255).argmax(dim=1)
    assert (answers == rounds[-1].samples.targets).float().mean() > 0.95


@pytest.mark.parametrize("method", ["cmi", "deep-inversion"])
def test_a_pool_keeps_every_image(make_distiller, method: str) -> None:
    distiller = make_distiller(method, rounds=3)
    distiller.run(lambda done: None)
    assert len(distiller.buffer) == 3 * 8


@pytest.mark.parametrize("method", TRAINED_GENERATOR)
def test_training_the_generator_lowers_its_objective(make_distiller, method: str) -> None:
    distiller, randomness = make_distiller(method), torch.Generator().manual_seed(0)
    term = {"dafl": "balance", "dfq": "bn"}.get(method, AGAINST_THE_STUDENT.get(method, ""))
    reports = [distiller.inversion.round(1, randomness)[1][term] for _ in range(40)]
    assert sum(reports[-5:]) < sum(reports[:5])


@pytest.mark.parametrize("positions", [False, True], ids=["classification", "segmentation"])
def test_pixels_descend_to_their_targets(make_distiller, positions: bool) -> None:
    (_, before), (samples, after) = (
        make_distiller("deep-inversion", positions=positions, inversion={"steps": steps}).inversion.round(
            0, torch.Generator().manual_seed(0)
        )
        for steps in (1, 30)
    )
    assert 400 * after["bn"] + after["one_hot"] < 400 * before["bn"] + before["one_hot"]
    assert samples.images.shape == (8, 3, 16, 16)


def test_every_round_of_cmi_begins_with_a_new_generator(make_distiller) -> None:
    distiller = make_distiller("cmi")
    before = [value.clone() for value in distiller.inversion.state_dict()["generator"].values()]
    first, second = (distiller.inversion.round(0, torch.Generator().manual_seed(0))[0] for _ in range(2))
    after = distiller.inversion.state_dict()["generator"].values()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert first.images.float().sub(second.images.float()).abs().mean() < 5  # but for what the head has learnt


@pytest.mark.parametrize("method", ["dafl", "dfad", "zskt"])
def test_methods_without_the_prior_take_teachers_without_batch_normalisation(make_distiller, method: str) -> None:
    teacher = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    distiller = make_distiller(method, teacher=teacher.requires_grad_(requires_grad=False))
    distiller.run(lambda done: None)
    assert distiller.step > 0
