"""A step runs as a graph where that gives what the plain step gives, and plainly, with one line, elsewhere."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pretend_accelerator
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
        monkeypatch.setattr(capture, "GRAPHS", {pretend_accelerator.DEVICE.type: pretend_accelerator.PretendGraph})
        yield pretend_accelerator.DEVICE


class Learner:
    """A network whose steps may run as a graph; `flaw` is done within each step."""

    def __init__(self, device: torch.device, mode: CaptureName, kind: str = "sgd", flaw: Any = lambda _: None) -> None:
        torch.manual_seed(0)
        self.flaw, self.calls = flaw, 0
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
    assert graph.calls == WARM + 2, "Python runs to rehearse and to record, then no more"
    assert graph.guard.read().skipped == plain.guard.read().skipped == 1
    assert graph.step.notice() is None


def reads(learner: Learner) -> None:
    float(learner.model[0].weight.detach().sum())


def counts_calls(learner: Learner) -> None:
    learner.model[0].weight.grad.mul_(learner.calls)


@pytest.mark.parametrize(("flaw", "words"), [(reads, "captur"), (counts_calls, "weights differ")])
def test_what_a_graph_cannot_do_is_done_plainly_and_said_once(device: torch.device, flaw: Any, words: str) -> None:
    plain, graph = (Learner(device, mode, flaw=flaw) for mode in ("off", "auto"))
    if flaw is counts_calls:
        plain.flaw = lambda learner: learner.model[0].weight.grad.mul_(learner.calls + (learner.calls > WARM + 1))
    losses = [torch.tensor(learner.learn(WARM + 6)) for learner in (plain, graph)]
    torch.testing.assert_close(*losses, equal_nan=True, rtol=1e-4, atol=1e-5)
    said = graph.step.notice()
    assert said is not None
    assert words in said
    assert said.isprintable()
    assert graph.step.notice() is None
    assert not graph.step.active


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
