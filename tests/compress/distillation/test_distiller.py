"""The engine end to end on the fake task: one code path, both tasks, every method."""

import pytest
import torch

from compress.distillation.distiller import Distiller
from compress.distillation.round import Round
from compress.methods import METHODS as EVERY_METHOD
from compress.runs.evaluation import evaluate

pytestmark = pytest.mark.parametrize("positions", [False, True], ids=["classification", "segmentation"])
METHODS = [name for name, method in EVERY_METHOD.items() if not method.needs_collected]  # those have their own tests


def run(distiller: Distiller) -> list[Round]:
    rounds: list[Round] = []
    distiller.run(rounds.append)
    return rounds


def same_weights(first: Distiller, second: Distiller) -> bool:
    pairs = zip(first.student.state_dict().values(), second.student.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_student_bit_for_bit(make_distiller, method: str, positions: bool) -> None:
    first, second = (make_distiller(method, positions=positions) for _ in range(2))
    other = make_distiller(method, positions=positions, seed=1)
    for distiller in (first, second, other):
        run(distiller)
    assert same_weights(first, second)
    assert not same_weights(first, other)


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_equals_an_uninterrupted_one(make_distiller, method: str, positions: bool, tmp_path) -> None:
    whole, interrupted, resumed = (make_distiller(method, positions=positions) for _ in range(3))
    run(whole)

    def stop_after_two(done: Round) -> None:
        if done.index == 1:
            torch.save(interrupted.state_dict(), tmp_path / "state.pt")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted.run(stop_after_two)
    torch.rand(100)  # whatever else happens between the two processes
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [done.index for done in run(resumed)] == [2, 3]
    assert same_weights(whole, resumed)


@pytest.mark.parametrize("method", METHODS)
def test_the_student_comes_closer_to_the_teacher(make_distiller, method: str, positions: bool) -> None:
    distiller = make_distiller(method, positions=positions, rounds=16, steps=10)
    distillation_loss = distiller.plan.distillation_loss.name
    learning = [done.numbers[distillation_loss] for done in run(distiller) if distillation_loss in done.numbers]
    assert learning[-1] < 0.7 * learning[0]


def test_the_warm_up_only_makes_samples(make_distiller, positions: bool) -> None:
    distiller = make_distiller(positions=positions)
    before = [parameter.clone() for parameter in distiller.student.parameters()]
    first = []

    def stop(done: Round) -> None:
        first.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distiller.run(stop)
    assert len(distiller.buffer) == 8
    assert "adversarial" not in first[0].numbers
    assert all(torch.equal(a, b) for a, b in zip(before, distiller.student.parameters(), strict=True))


def test_the_teacher_never_changes_and_carries_no_hook(make_distiller, positions: bool) -> None:
    distiller = make_distiller(positions=positions)
    before = {name: value.clone() for name, value in distiller.teacher.state_dict().items()}
    run(distiller)
    after = distiller.teacher.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(module._forward_pre_hooks for module in distiller.teacher.modules())
    assert not distiller.teacher.training


def test_synthetic_samples_are_images_with_their_statistics(make_distiller, positions: bool) -> None:
    distiller = make_distiller(positions=positions)
    samples = run(distiller)[-1].samples
    assert samples.images.dtype == torch.uint8
    assert samples.images.shape == (8, 3, 16, 16)
    assert samples.images.float().std() > 1
    torch.testing.assert_close(samples.statistics.histogram.sum(dim=1), torch.ones(8))
    assert ((samples.statistics.confidence >= 0.25) & (samples.statistics.confidence <= 1)).all()


def test_a_distilled_student_answers_like_the_teacher_on_images_it_never_saw(make_distiller, positions: bool) -> None:
    distiller = make_distiller(positions=positions, rounds=12, steps=20)
    untrained = evaluate(distiller.student.eval(), distiller.task, distiller.compute).headline
    run(distiller)
    distilled = evaluate(distiller.student.eval(), distiller.task, distiller.compute).headline
    assert distilled >= max(untrained, 0.5)
