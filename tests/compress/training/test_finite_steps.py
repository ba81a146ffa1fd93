"""A step that is not finite changes nothing, whatever the optimiser remembers, and is counted."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from compress.errors import Diverged
from compress.training.finite_steps import IN_A_ROW, FiniteSteps
from compress.training.optimizers import adam, make_optimizer

OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda model: make_optimizer("sgd", model, 0.1, 1e-3),
    "adamw": lambda model: make_optimizer("adamw", model, 0.1, 1e-3),
    "adam": lambda model: adam(model.parameters(), 0.1, (0.5, 0.999)),
    "somebody else's": lambda model: torch.optim.RMSprop(model.parameters(), 0.1),
}
NAN, INFINITE = float("nan"), float("inf")


class Guarded:
    """A small network that learns by guarded steps."""

    def __init__(self, optimizer: str) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
        self.optimizer = OPTIMIZERS[optimizer](self.model)
        self.guard = FiniteSteps(self.optimizer, self.model.buffers(), lambda: None)

    def step(self, *, factor: float = 1.0, gradient: float | None = None) -> bool:
        """One step on the mean square, times a factor; with another number in one of the gradients."""
        self.guard.begin()
        loss = self.model(torch.rand(5, 3, 4, 4)).square().mean() * factor
        loss.backward()
        if gradient is not None:
            self.model[0].weight.grad[0, 0, 0, 0] = gradient
        return bool(self.guard.end(loss.detach()))

    def state(self) -> list[Any]:
        return copy.deepcopy(tree_leaves([self.model.state_dict(), self.optimizer.state_dict()["state"]]))


def same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("fault", [{"factor": NAN}, {"factor": INFINITE}, {"gradient": NAN}, {"gradient": -INFINITE}])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_that_is_not_finite_changes_nothing(optimizer: str, fault: dict[str, float]) -> None:
    guarded = Guarded(optimizer)
    assert guarded.step()
    before = guarded.state()
    assert not guarded.step(**fault)
    assert same(before, guarded.state())
    assert guarded.step()
    assert not same(before, guarded.state())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adam"])
def test_a_first_step_that_is_not_taken_leaves_no_trace(optimizer: str) -> None:
    plain, guarded = Guarded(optimizer), Guarded(optimizer)
    assert not guarded.step(factor=NAN)
    for learner in (plain, guarded):
        torch.manual_seed(1)
        learner.step()
    assert same(plain.state(), guarded.state())


def test_steps_that_are_not_taken_are_counted_until_there_are_ten_in_a_row() -> None:
    guarded = Guarded("sgd")
    for _ in range(3):
        assert not any(guarded.step(factor=NAN) for _ in range(IN_A_ROW - 1))
        assert guarded.step()
    outcome = guarded.guard.read(torch.tensor(3.0))
    assert (outcome.skipped, outcome.last_taken, outcome.numbers) == (3 * IN_A_ROW - 3, True, [3.0])
    assert guarded.guard.read().skipped == 0
    for _ in range(IN_A_ROW - 1):
        guarded.step(factor=NAN)
    assert not guarded.guard.read().last_taken
    guarded.step(factor=NAN)
    with pytest.raises(Diverged, match="10 steps in a row"):
        guarded.guard.read()


def test_a_step_that_is_given_up_begins_with_the_buffers_of_before() -> None:
    guarded = Guarded("sgd")
    before = guarded.state()
    guarded.guard.begin()
    guarded.model(torch.rand(5, 3, 4, 4)).sum().backward()
    guarded.guard.undo()
    assert same(before, guarded.state())
    assert all(parameter.grad is None for parameter in guarded.model.parameters())
