"""HiDFD and its control on tiny networks: who learns when and from what, and what they refuse."""

from dataclasses import replace

import pytest
import torch
from small_networks import CLASSES, Halves
from torch import nn

from compress.distillation.distiller import Distiller
from compress.distillation.round import Round
from compress.errors import UsageError
from compress.gan.alignment import FeatureAlignment, alignment
from compress.gan.collected import Collected, CollectedImages, InflatedBuffer, answered
from compress.methods import METHODS, MethodContext
from compress.replay.buffer import ReplayBuffer
from compress.replay.policies import Uniform, newest
from compress.settings import DistillSettings
from compress.storage.settings_files import merged
from compress.task import Samples, Statistics
from compress.testing import FakeTask
from compress.training.compute import CPU_FLOAT32
from compress.training.execution import Execution
from compress.training.parallel import Workers
from compress.training.schedules import Stairs

SIZE = 16
ON_CPU = CPU_FLOAT32
SMALL = {
    "gan": {"iterations": 2, "batch": 8, "latent": 8, "width": 8, "samples": 12, "capacity": 24, "inflation": 3,
            "decay": 0.5, "average_from": 1},
    "distillation": {"rounds": 5, "warmup": 2, "steps": 3, "batch": 10, "lr": 0.05},
}  # fmt: skip


def some_images(count: int = 30) -> Collected:
    noise = torch.Generator().manual_seed(5)
    images = torch.randint(256, (count, 3, SIZE, SIZE), generator=noise, dtype=torch.uint8)
    return Collected(images, torch.arange(count) % CLASSES)


def ingredients(method: str, *, seed: int = 0, positions: bool = False, **changed: object) -> MethodContext:
    torch.manual_seed(7)
    teacher = Halves(8).eval().requires_grad_(requires_grad=False)
    torch.manual_seed(seed)
    student = Halves(4)
    settings = DistillSettings.model_validate(merged(SMALL, {"method": method, **changed}))
    compute, randomness = CPU_FLOAT32, torch.Generator().manual_seed(seed)
    task = FakeTask(positions=positions, classes=CLASSES, size=SIZE)
    return MethodContext(
        task=task,
        teacher=teacher,
        student=student,
        settings=settings,
        mirror=True,
        execution=Execution(compute=compute, workers=Workers(), randomness=randomness),
        collected=some_images(),
    )


def distiller(method: str, **changed: object) -> Distiller:
    return METHODS[method].build(ingredients(method, **changed))


def run(distiller: Distiller) -> list[Round]:
    rounds: list[Round] = []
    distiller.run(rounds.append)
    return rounds


def gradient(network: nn.Module) -> float:
    return sum(p.grad.abs().sum().item() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize(("capacity", "inflation", "real"), [(300, 10, 32), (900, 10, 16), (30, 1, 32), (10, 3, 58)])
def test_a_batch_holds_the_inflated_share_of_real_images(capacity: int, inflation: int, real: int, numbers) -> None:
    collected, made = some_images(30), ReplayBuffer(capacity, newest, Uniform(), ON_CPU)
    buffer = InflatedBuffer(collected, inflation, made, ON_CPU)
    statistics = Statistics(torch.ones(5), torch.ones(5, CLASSES) / CLASSES)
    buffer.add(Samples(torch.zeros(5, 3, SIZE, SIZE, dtype=torch.uint8), torch.zeros(5, dtype=torch.long), statistics))
    drawn = buffer.draw(64, numbers)
    assert drawn.images.shape == (64, 3, SIZE, SIZE)
    assert (drawn.images.flatten(1).sum(dim=1) > 0).sum() == real
    assert (drawn.weights == 1).all()


def test_alignment_is_the_mean_square_at_the_coarser_size_and_only_the_student_learns_it() -> None:
    fine, coarse = torch.full((2, 3, 8, 8), 3.0), torch.ones(2, 3, 4, 4)
    assert alignment(fine, coarse).tolist() == alignment(coarse, fine).tolist() == [4, 4]
    student, teacher = Halves(4), Halves(8)
    loss, student_logits, teacher_logits = FeatureAlignment()(student, teacher, torch.rand(6, 3, SIZE, SIZE))
    assert loss.shape == (6,)
    assert student_logits.shape == teacher_logits.shape == (6, CLASSES)
    loss.mean().backward()
    assert gradient(student.trunk[0]) > 0
    assert gradient(student.linear) == gradient(teacher) == 0


def test_the_rate_falls_in_stairs() -> None:
    stairs = Stairs(first=1.0, steps=240, at=(150 / 240, 180 / 240, 210 / 240))
    assert [stairs(step) for step in (0, 149, 150, 180, 210)] == pytest.approx([1, 1, 0.1, 0.01, 0.001])


def test_the_gan_learns_in_the_warm_up_and_only_makes_samples_afterwards() -> None:
    made = distiller("hidfd")
    before = made.inversion.state_dict()["networks"][0]["paint.bias"].clone()
    rounds = run(made)
    state = made.inversion.state_dict()
    assert state["iteration"] == 4
    assert not torch.equal(before, state["networks"][0]["paint.bias"])
    assert [("hinge" in done.numbers, "alignment" in done.numbers) for done in rounds] == [
        *[(True, False)] * 2, *[(False, True)] * 3,
    ]  # fmt: skip
    assert [len(done.samples.images) for done in rounds] == [CLASSES, CLASSES, 12, 12, 12]
    assert len(made.buffer) == 24, "what was made while the GAN learnt is not kept"


def test_samples_come_from_the_average_of_the_generator() -> None:
    gan = distiller("hidfd", gan={"decay": 1.0, "average_from": 0}).inversion
    generator = torch.Generator().manual_seed(0)
    gan.round(0, generator)
    newest_one, average, _ = gan.state_dict()["networks"]
    assert not torch.equal(newest_one["paint.bias"], average["paint.bias"])


def test_the_control_learns_from_the_collected_images_alone(numbers) -> None:
    made = distiller("kd")
    rounds = run(made)
    drawn = made.buffer.draw(20, numbers).images
    assert (drawn[:, None] == some_images().images[None]).flatten(2).all(dim=2).any(dim=1).all()
    assert [done.numbers["admitted"] for done in rounds] == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert rounds[-1].numbers["kl"] < rounds[2].numbers["kl"]


@pytest.mark.parametrize(("even", "expected"), [(True, 0.5), (False, 0.1)])
def test_kd_evens_out_the_classes_of_its_photographs_unless_told_not_to(even, expected: float, numbers) -> None:
    context = ingredients("kd", distillation={"collected_even": even})
    brightness = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, CLASSES))
    for parameter in brightness.parameters():
        parameter.requires_grad_(requires_grad=False).zero_()
    brightness[2].weight[1], brightness[2].bias[0] = 1.0, 1.0  # the second class from a third of white on
    photographs = torch.cat([torch.zeros(18, 3, SIZE, SIZE), torch.full((2, 3, SIZE, SIZE), 255)]).to(torch.uint8)
    context = replace(context, teacher=brightness)
    by_kd = METHODS["kd"].build(replace(context, collected=Collected(photographs, None)))
    by_kd.buffer.add(by_kd.inversion.round(0, context.randomness)[0])
    assert (by_kd.buffer.draw(2000, numbers).index >= 18).float().mean().item() == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("method", ["hidfd", "kd"])
def test_same_seed_same_student_and_a_resumed_run_equals_an_uninterrupted_one(method: str, tmp_path) -> None:
    whole, part, other = distiller(method), distiller(method), distiller(method, seed=1)
    run(whole)
    run(other)
    for stop in (1, 3):  # in the warm-up and after it

        def save(done: Round, part: Distiller = part, stop: int = stop) -> None:
            if done.index == stop:
                torch.save(part.state_dict(), tmp_path / "state.pt")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            part.run(save)
        part = distiller(method)
        torch.rand(100)  # whatever else happens between the two processes
        part.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    run(part)
    students = [d.student.state_dict() for d in (whole, part, other)]
    assert all(torch.equal(students[0][name], students[1][name]) for name in students[0])
    assert any(not torch.equal(students[0][name], students[2][name]) for name in students[0])


@pytest.mark.parametrize("method", ["hidfd", "kd"])
def test_what_a_recipe_cannot_work_with_is_said_in_one_line(method: str) -> None:
    context = ingredients(method)
    recipe = METHODS[method].build
    for wrong, words in (
        (replace(context, collected=None), "`collected`"),
        (replace(context, collected=some_images(3)), "3 collected images are too few for a batch of 10"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            recipe(wrong)
        assert "\n" not in str(caught.value)


def test_hidfd_needs_labels_and_a_teacher_in_two_halves() -> None:
    context = ingredients("hidfd")
    for wrong, words in (
        (replace(context, collected=Collected(some_images().images, None)), "for classification only"),
        (replace(context, teacher=nn.Identity()), "Identity has no `features` and `classify`"),
    ):
        with pytest.raises(UsageError, match=words):
            METHODS["hidfd"].build(wrong)


def test_without_labels_the_target_is_what_the_teacher_sees() -> None:
    context = ingredients("kd")
    images = some_images().images
    samples, _ = CollectedImages(answered(Collected(images, None), context.teacher, context.compute)).round(
        0, context.randomness
    )
    assert torch.equal(samples.targets, context.teacher(images / 255).argmax(dim=1))
    assert torch.equal(samples.images, images)


def test_hidfd_without_a_warm_up_says_that_its_gan_needs_one() -> None:
    with pytest.raises(UsageError, match="warm-up"):
        distiller("hidfd", distillation={"warmup": 0})
