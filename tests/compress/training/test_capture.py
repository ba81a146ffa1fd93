"""A step runs as a graph where that gives what the plain step gives, and plainly, with one line, elsewhere."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pretend_accelerator
import pretend_graph
import pytest
import torch
from torch import Tensor, nn

from compress.errors import CompressError
from compress.training import capture
from compress.training.capture import WARM, Captured
from compress.training.compute import CaptureName, Compute
from compress.training.execution import Execution
from compress.training.optimizers import make_optimizer, rates_on_device, set_rate
from compress.training.parallel import Workers


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """CUDA, or the pretend device with graphs."""
    if torch.cuda.is_available():
        yield torch.device("cuda")
        return
    with pretend_accelerator.accelerator():
        monkeypatch.setattr(capture, "GRAPHS", {pretend_accelerator.DEVICE.type: pretend_graph.PretendGraph})
        yield pretend_accelerator.DEVICE


class Learner:
    """A network whose steps may run as a graph; `flaw` is done within each step."""

    def __init__(self, device: torch.device, mode: CaptureName, kind: str = "sgd", flaw: Any = lambda _: None) -> None:
        torch.manual_seed(0)
        self.flaw, self.calls, self.kept = flaw, 0, 1.0
        self.model = nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2)
        ).to(device)
        self.optimizer = make_optimizer(kind, self.model, 0.1, 1e-3)
        execution = Execution(
            compute=Compute(device, torch.float32, mode), workers=Workers(), randomness=torch.Generator()
        )
        guard = execution.guarded(self.optimizer, self.model.parameters(), self.model.buffers())
        self.guard = guard
        self.step = Captured(self._take, self._state, execution, "the step")
        rates_on_device(self.optimizer, device if self.step.wanted else None)

    def _take(self, images: Tensor) -> tuple[Tensor, ...]:
        self.calls += 1
        self.guard.begin()
        loss = self.model(images).square().mean()
        loss.backward()
        self.flaw(self)
        return loss.detach(), self.guard.end(loss.detach())

    def _state(self) -> list[Tensor]:
        kept = [value for state in self.optimizer.state.values() for value in state.values()]
        return [*self.model.parameters(), *self.model.buffers(), *kept, *self.guard.state_dict().values()]

    def learn(self, steps: int) -> list[float]:
        """The losses of steps on noise, at a rate that falls."""
        noise, losses = torch.Generator().manual_seed(1), []
        for index in range(steps):
            images = torch.rand(5, 3, 4, 4, generator=noise).to(self.model[0].weight.device)
            if index == WARM + 3:
                images = images * float("nan")
            set_rate(self.optimizer, 0.1 / (index + 1))
            losses.append(float(self.step(images)[0]))
        return losses


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_graph_learns_what_plain_steps_learn(device: torch.device, kind: str) -> None:
    plain, graph = (Learner(device, mode, kind) for mode in ("off", "auto"))
    losses = [torch.tensor(learner.learn(WARM + 8)) for learner in (plain, graph)]
    torch.testing.assert_close(*losses, equal_nan=True, rtol=1e-4, atol=1e-5)
    for one, other in zip(plain._state(), graph._state(), strict=True):
        torch.testing.assert_close(one.cpu(), other.cpu(), rtol=1e-4, atol=1e-5)
    assert graph.step.active
    assert not plain.step.active
    assert graph.calls == WARM + 3, "Python runs to rehearse twice and to record, then no more"
    assert graph.guard.read().skipped == plain.guard.read().skipped == 1
    assert graph.step.notice() is None


def reads(learner: Learner) -> None:
    float(learner.model[0].weight.detach().sum())


def counts_calls(learner: Learner) -> None:
    learner.model[0].weight.grad.mul_(learner.calls % 3)


def remembers(learner: Learner) -> None:
    """It depends on what earlier steps left outside the state."""
    learner.model[0].weight.grad.add_(learner.kept)
    learner.kept = learner.model[0].weight.grad.clone()


def runs_out_of_memory_while_it_is_recorded(learner: Learner) -> None:
    if learner.step.recording:
        raise torch.OutOfMemoryError("out of memory, tried to allocate a graph")


FLAWS = [
    (reads, "called a synchronizing CUDA operation"),
    (counts_calls, "two plain steps from one state differ"),
    (remembers, "differ"),
    (runs_out_of_memory_while_it_is_recorded, "tried to allocate a graph"),
]


@pytest.mark.parametrize(("flaw", "words"), FLAWS)
def test_what_a_graph_cannot_do_is_done_plainly_and_said_once(device: torch.device, flaw: Any, words: str) -> None:
    graph = Learner(device, "auto", flaw=flaw)
    losses = graph.learn(WARM + 6)
    if flaw in (reads, runs_out_of_memory_while_it_is_recorded):  # the others are never twice the same
        plain = Learner(device, "off", flaw=flaw)
        torch.testing.assert_close(losses, plain.learn(WARM + 6), equal_nan=True, rtol=1e-4, atol=1e-5)
        assert graph.guard.read() == plain.guard.read()
    said = graph.step.notice()
    assert said is not None
    assert words in said
    assert said.isprintable()
    assert graph.step.notice() is None
    assert not graph.step.active


def test_noise_of_the_network_s_own_is_the_same_in_a_graph(device: torch.device) -> None:
    losses = []
    for mode in ("off", "auto"):
        learner = Learner(device, mode)
        learner.model[2] = nn.Sequential(nn.Dropout(0.5), nn.Flatten())
        torch.manual_seed(3)
        losses.append(learner.learn(WARM + 6))
        assert learner.step.notice() is None
    assert learner.step.active
    torch.testing.assert_close(*losses, equal_nan=True, rtol=1e-4, atol=1e-5)


def test_what_python_decides_otherwise_in_a_later_round_is_recorded_anew(device: torch.device) -> None:
    losses = []
    for mode in ("off", "auto"):
        learner = Learner(device, mode)
        for scale in (1.0, 1.0, 0.0, 0.0):
            learner.flaw = lambda it, scale=scale: it.model[0].weight.grad.mul_(scale)
            learner.step.begin_round()
            losses.append(learner.learn(WARM + 3))
            recorded = learner.step.active
    assert recorded, "the graph of the third round"
    assert learner.step.notice() is None
    torch.testing.assert_close(losses[:4], losses[4:], rtol=1e-4, atol=1e-5)


def test_steps_unlike_later_ones_are_not_recorded_and_other_conditions_give_a_graph_up(device: torch.device) -> None:
    learner = Learner(device, "auto")
    for conditions, before, after in ((None, False, False), ("a", False, True), ("a", True, True), ("b", False, True)):
        learner.step.begin_round(conditions)
        assert learner.step.active == before
        learner.learn(WARM + 2)
        assert learner.step.active == after


def test_who_insists_on_a_graph_hears_why_there_is_none(device: torch.device) -> None:
    with pytest.raises(CompressError, match="does not run as a CUDA graph"):
        Learner(device, "on", flaw=reads).learn(WARM + 1)


def test_a_batch_of_another_size_is_a_plain_step_and_what_is_forgotten_is_recorded_anew(device: torch.device) -> None:
    learner = Learner(device, "auto")
    learner.learn(WARM + 2)
    calls = learner.calls
    learner.step(torch.rand(3, 3, 4, 4).to(device))
    assert learner.calls == calls + 1
    learner.step.forget()
    assert not learner.step.active
    learner.learn(WARM + 1)
    assert learner.step.active


def test_on_a_processor_and_among_workers_nothing_is_recorded(device: torch.device) -> None:
    compute = Compute(device, torch.float32, "auto")
    execution = Execution(compute=compute, workers=Workers(), randomness=torch.Generator())
    cpu = replace(execution, compute=Compute(torch.device("cpu"), torch.float32, "auto"))
    shared = replace(execution, workers=Workers(0, 2))
    wanted = [Captured(lambda: (), list, where, "it").wanted for where in (execution, cpu, shared)]
    assert wanted == [True, False, False]
