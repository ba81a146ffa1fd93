"""A student that learns nothing although its losses are finite is noticed, and one that learns is not."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compress.runs.rounds import lead
from compress.storage.run_directory import RunDirectory
from compress.testing import FakeTask
from compress.training.guards import LEAST_ROUNDS, StandstillGuard

ANSWERS = 1000


def complaints(guard: StandstillGuard, agreements: list[float], majority: float = 0.1) -> list[int]:
    """The rounds that complain."""
    said = [guard.complaint(agreement, majority, ANSWERS) for agreement in agreements]
    return [index for index, words in enumerate(said) if words]


@pytest.mark.parametrize(("rounds", "patience"), [(200, 20), (50, 5), (12, LEAST_ROUNDS)])
def test_a_student_at_chance_is_noticed_once_after_two_tenths_of_its_rounds(rounds: int, patience: int) -> None:
    guard = StandstillGuard(rounds)
    assert complaints(guard, [0.1] * rounds) == [2 * patience - 1]
    assert guard.at_standstill


@pytest.mark.parametrize(
    ("agreements", "majority"),
    [
        ([0.1] * 10 + [0.2] * 90, 0.1),  # learns when its rate has risen
        ([0.2, 0.1, 0.1] * 40, 0.1),  # between good rounds
        ([0.02] * 100, 0.01),  # little, of many classes, but more than chance
        ([0.9] * 100, 0.8),  # most positions are background
    ],
)
def test_a_student_that_learns_is_not_complained_of(agreements: list[float], majority: float) -> None:
    guard = StandstillGuard(100)
    assert complaints(guard, agreements, majority) == []
    assert not guard.at_standstill


def test_background_alone_is_chance_where_most_positions_are_background() -> None:
    assert complaints(StandstillGuard(100), [0.8] * 30, majority=0.8) == [19]


def test_a_student_that_diverges_after_it_has_learnt_is_noticed_again_after_a_recovery() -> None:
    guard = StandstillGuard(100)
    assert complaints(guard, [0.7] * 30 + [0.1] * 15 + [0.6] * 5 + [0.1] * 15) == [39, 59]


def test_a_guard_that_was_saved_goes_on_counting() -> None:
    guard, resumed = StandstillGuard(100), StandstillGuard(100)
    assert complaints(guard, [0.1] * 15) == []
    resumed.load_state_dict(guard.state_dict())
    assert complaints(resumed, [0.1] * 10) == [4]


class Constant(nn.Module):
    """A student that always answers the first class, as one may whose weights have become too large."""

    def __init__(self) -> None:
        super().__init__()
        self.network = FakeTask(positions=True).student()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        first = torch.zeros_like(logits)
        first[:, 0] = 1e3
        return 1e-3 * logits + first


class ConstantLabel(Constant):
    """The same for labels."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).mean(dim=(2, 3))


@pytest.mark.parametrize("method", ["ssd-kd", "dfad"])
@pytest.mark.parametrize("positions", [False, True], ids=["classification", "segmentation"])
def test_a_run_says_once_what_to_change(make_distiller, tmp_path: Path, method: str, positions: bool) -> None:
    student = Constant() if positions else ConstantLabel()
    distiller = make_distiller(method, positions=positions, rounds=13, steps=1, student=student)
    lead(distiller, RunDirectory.create(tmp_path), {"history": []}, picture=distiller.task.picture)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row.get("standstill") for row in rows] == [None, *[0.0] * 9, *[1.0] * 3]
    log = (tmp_path / "train.log").read_text()
    assert log.count("the student has learnt nothing for 5 rounds") == 1
    assert "lower distillation.lr" in log


def test_the_most_frequent_class_counts_as_chance_whatever_it_is(make_distiller) -> None:
    distiller, rounds = make_distiller(positions=True, student=Constant()), []
    distiller.run(rounds.append)
    numbers = rounds[-1].numbers
    assert numbers["agreement"] <= numbers["majority"] < 1
