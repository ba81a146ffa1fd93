"""Steps that run as a CUDA graph: one launch instead of thousands, for steps that take less time than their launches.

A graph repeats recorded operations at the same memory addresses, without running Python. So a graph is used only after
its result has been equal to that of the plain step from the same state in this run, and it is compared again in later
rounds. After any failure the plain step is used, and one line gives the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping

import torch
from torch import Tensor

from compress.errors import CompressError, first_line
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.graphs import CudaGraph, Graph

WARM = 3  # plain steps first: cuDNN chooses its kernels, optimisers allocate
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 3e-2}
"""Largest difference of a graph's step from the plain one, as a share of the change that the step makes."""
LIKE_PLAIN = 2.0
"""The same as a multiple of the difference between two plain steps, whose sums may be in another order."""
UNSTEADY = 0.1  # if two plain steps differ by more than this, a graph cannot be checked
RECORDINGS = 5  # most recordings of a step whose graph comes to differ; after that it stays plain
Step = Callable[..., tuple[Tensor, ...]]

GRAPHS: Mapping[str, Callable[[], Graph]] = {"cuda": CudaGraph}
"""The recorder of steps for each type of device."""


class Captured:
    """A step `(inputs) -> outputs` of tensors that changes a state of tensors, run as a graph where that is correct.

    The outputs are valid until the next step. `execution.compute.capture` decides: `off` never records, `auto` falls
    back to the plain step with a notice, `on` raises `CompressError` instead.
    """

    def __init__(self, step: Step, state: Callable[[], Iterable[Tensor]], execution: Execution, name: str) -> None:
        self._step, self._state, self._name = step, state, name
        self._compute: Compute = execution.compute
        self._make = GRAPHS.get(execution.device.type)
        self._alone = execution.workers.size == 1
        self._refused: str | None = None
        self._notice: str | None = None
        self._recordings = 0
        self._conditions: Hashable = ()
        self.recording = False
        """Whether the step that runs now is being recorded."""
        self.forget()

    @property
    def wanted(self) -> bool:
        """Whether a graph is possible now or later."""
        return self._compute.capture != "off" and self._make is not None and self._alone and self._refused is None

    @property
    def active(self) -> bool:
        """Whether steps run as a graph now."""
        return self._recorded

    def forget(self) -> None:
        """Drop the recording, whose memory addresses are no longer valid."""
        self._graph = self._make() if self._make is not None and self.wanted else None
        self._recorded = self._due = False
        self._inputs: list[Tensor] = []
        self._outputs: tuple[Tensor, ...] = ()
        self._steps = self._rounds = 0
        self._allowed = 0.0

    def begin_round(self, conditions: Hashable = ()) -> None:
        """Set the conditions of the steps that follow, which Python decides; a graph of other conditions is dropped.

        With None, the steps differ from later ones, and nothing is recorded. In rounds 1, 2, 4, 8... after the
        recording, the first step is taken in both ways, because a user's network or loss may also decide in Python.
        """
        if conditions != self._conditions:
            self._conditions = conditions
            self.forget()
        self._rounds += self._recorded
        self._due = self._recorded and self._rounds & (self._rounds - 1) == 0

    def notice(self) -> str | None:
        """The reason why there is no graph, returned once."""
        notice, self._notice = self._notice, None
        return notice

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Take the step."""
        graph, fits = self._graph, [i.shape for i in inputs] == [i.shape for i in self._inputs]
        if graph is None or not self.wanted or self._conditions is None or (self._recorded and not fits):
            return self._step(*inputs)
        if self._recorded:
            return self._compared_again(graph, inputs) if self._due else self._replayed(graph, inputs)
        self._steps += 1
        return self._aside(graph, inputs) if self._steps <= WARM else self._first_recorded(graph, inputs)

    def _replayed(self, graph: Graph, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        for place, value in zip(self._inputs, inputs, strict=True):
            place.copy_(value)
        graph.replay()
        return self._outputs

    def _aside(self, graph: Graph, inputs: tuple[Tensor, ...], *, strictly: bool = False) -> tuple[Tensor, ...]:
        """A plain step on the stream of the recording; with `strictly`, operations that cannot be recorded raise."""
        outputs: list[Tensor] = []
        graph.rehearse(lambda: outputs.extend(self._step(*inputs)), strictly=strictly)
        return tuple(outputs)

    def _first_recorded(self, graph: Graph, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Take this step twice plainly and once as a graph, from the same state; keep the graph if all agree."""
        start = _Moment(self._state(), graph)
        try:
            plain = _cloned(self._aside(graph, inputs, strictly=True))
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            start.restore()
            self._refuse(first_line(error))
            return self._step(*inputs)
        end = _Moment(start.state, graph)
        if not _finite(plain):  # a skipped step cannot be compared: the next one is recorded
            return plain
        start.restore()
        self._aside(graph, inputs)
        unsteady = _apart(start.values, end.values, start.state)
        self._allowed = max(TOLERANCE[self._compute.dtype], LIKE_PLAIN * unsteady)
        if unsteady <= UNSTEADY:
            fault = self._record(graph, inputs, start) or self._difference(start, end, plain)
        else:
            fault = f"two plain steps from one state differ by {unsteady:.2g} of the change that they make"
        if fault is None:
            self._recorded, self._recordings = True, self._recordings + 1
            return self._outputs
        end.restore()
        self._refuse(fault)
        return plain

    def _record(self, graph: Graph, inputs: tuple[Tensor, ...], start: _Moment) -> str | None:
        """Record the step and run the graph from the same start; returns the error, None if there is none."""
        self._inputs, self.recording = [value.clone() for value in inputs], True
        outputs: list[Tensor] = []
        try:
            start.restore()
            graph.record(lambda: outputs.extend(self._step(*self._inputs)))
            start.restore()
            graph.replay()
        except RuntimeError as error:
            return first_line(error)
        finally:
            self.recording = False
        self._outputs = tuple(outputs)
        return None

    def _compared_again(self, graph: Graph, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Take this step in both ways; a graph that differs is recorded again in the following steps."""
        self._due, start = False, _Moment(self._state(), graph)
        plain = _cloned(self._aside(graph, inputs))
        end = _Moment(start.state, graph)
        if not _finite(plain):
            return plain
        start.restore()
        self._replayed(graph, inputs)
        fault = self._difference(start, end, plain)
        if fault is None:
            return self._outputs
        end.restore()
        self.forget()
        if self._recordings >= RECORDINGS:
            self._refuse(fault)
        return plain

    def _difference(self, start: _Moment, end: _Moment, plain: tuple[Tensor, ...]) -> str | None:
        """How a graph's step differs from the plain one, in words; None if they agree up to rounding."""
        apart = _apart(start.values, end.values, start.state)
        if not apart <= self._allowed:
            return f"its weights differ from those of the plain step by {apart:.2g} of the change that it makes"
        for one, other in zip(plain, self._outputs, strict=True):
            if not torch.allclose(one.double(), other.double(), rtol=self._allowed, atol=self._allowed):
                return "its losses differ from those of the plain step"
        return None

    def _refuse(self, fault: str) -> None:
        self._refused = f"{self._name} does not run as a CUDA graph: {fault}"
        self.forget()
        if self._compute.capture == "on":
            raise CompressError(f"{self._refused}; with capture auto or off it runs step by step")
        self._notice = f"{self._refused}; it runs step by step, which takes longer"


class _Moment:
    """A copy of the values of a state and of the device's random state, before or after a step."""

    def __init__(self, state: Iterable[Tensor], graph: Graph) -> None:
        self.state, self._graph = list(state), graph
        self.values = _cloned(self.state)
        self._random = graph.random_state()

    @torch.no_grad()
    def restore(self) -> None:
        """Set the state and the random state to the copy."""
        for value, place in zip(self.values, self.state, strict=True):
            place.copy_(value)
        self._graph.set_random_state(self._random)


def _cloned(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().clone() for tensor in tensors)


def _finite(tensors: Iterable[Tensor]) -> bool:
    return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())


def _squared_distance(one: Tensor, other: Tensor) -> Tensor:
    """`[]`; equal infinities count as 0."""
    return torch.where(one == other, 0.0, one - other).square().sum()


@torch.no_grad()
def _apart(before: Iterable[Tensor], one: Iterable[Tensor], other: Iterable[Tensor]) -> float:
    """The difference of two steps from one state, as a share of the change that the first one makes.

    It is a mean over all numbers of the state. Each tensor is measured relative to its own change, because some are a
    thousand times larger than others.
    """
    shares, counts = [], 0
    for old, here, there in zip(before, one, other, strict=True):
        if not here.numel():
            continue
        step = here.double()
        far, change = (_squared_distance(step, than.double()) for than in (there, old))
        rounding = (torch.finfo(torch.float32).eps * step).square().sum()
        share = torch.where(far > 0, far / torch.maximum(change, rounding), 0.0)
        shares.append(share * here.numel())
        counts += here.numel()
    return float((torch.stack(shares).sum() / counts).sqrt()) if shares else 0.0
