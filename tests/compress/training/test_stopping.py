"""A run that is asked to stop does so soon, wherever it is, and goes on to the same student."""

import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from compress.distillation.distiller import Distiller
from compress.errors import Interrupted
from compress.methods import METHODS
from compress.training.random_state import random_state, seed_all, set_random_state
from compress.training.stopping import StopSignal

MOMENTS = (1, 9, 12)
"""How often the teacher was asked when the signal comes: in inversions and between the student's steps."""


def run(distiller: Distiller, moment: int | None = None) -> list[int]:
    """The rounds that are done; with a `moment`, a SIGTERM comes while the teacher answers for that time."""
    stopping, requests, rounds = StopSignal("step"), [0], []

    def ask(*_: object) -> None:
        requests[0] += 1
        if requests[0] == moment:
            signal.raise_signal(signal.SIGTERM)

    handle = distiller.teacher.register_forward_pre_hook(ask)
    try:
        with stopping:
            distiller.run(lambda done: rounds.append(done.index), stopping)
    finally:
        handle.remove()
    return rounds


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.needs_collected])
def test_a_stopped_run_goes_on_to_the_same_student(make_distiller, method: str, tmp_path: Path) -> None:
    whole = make_distiller(method)
    assert run(whole) == [0, 1, 2, 3]
    for moment in MOMENTS:
        stopped, resumed = make_distiller(method), make_distiller(method)
        with pytest.raises(Interrupted):
            run(stopped, moment)
        torch.save(stopped.state_dict(), tmp_path / "state.pt")
        seed_all(5)  # whatever else happens between the two processes
        resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert run(resumed) == list(range(stopped.next_round, 4))
        pairs = zip(whole.student.state_dict().values(), resumed.student.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs), f"asked to stop at the teacher's answer {moment}"
        assert torch.equal(whole.randomness.get_state(), resumed.randomness.get_state())


def test_no_step_of_the_student_is_lost_or_done_twice(make_distiller) -> None:
    distiller = make_distiller()
    with pytest.raises(Interrupted):
        run(distiller, 8)  # two rounds of two answers to invert and one to measure, then the second step
    assert (distiller.next_round, distiller.step) == (1, 2)
    assert run(distiller) == [1, 2, 3]
    assert distiller.step == 9


def test_an_inversion_does_not_begin_when_the_signal_comes_just_before_it(
    make_distiller, monkeypatch: pytest.MonkeyPatch
) -> None:
    distiller, begun = make_distiller(), []
    state_dict = distiller.inversion.state_dict

    def kept() -> dict[str, object]:
        signal.raise_signal(signal.SIGTERM)
        return state_dict()

    monkeypatch.setattr(distiller.inversion, "state_dict", kept)
    monkeypatch.setattr(distiller.inversion, "round", lambda *_: begun.append(True))
    with pytest.raises(Interrupted):
        run(distiller)
    assert not begun


def test_all_random_numbers_go_on_where_they_were() -> None:
    def drawn() -> tuple[float, float, float, float]:
        return torch.rand(()).item(), random.gauss(0, 1), np.random.rand(), np.random.randn()

    seed_all(3)
    first = drawn()
    state = random_state()
    second = drawn()
    set_random_state(state)
    assert drawn() == second
    seed_all(3)
    assert drawn() == first
