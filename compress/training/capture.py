"""Steps that run as a CUDA graph: one launch in place of thousands, for steps that are shorter than their launches.

A graph repeats operations on the memory that they had when they were recorded; Python does not run again. So a graph
is trusted only after it has given, in this very run, what the plain step gives from the same state; whatever goes
wrong on the way, the plain step goes on, and one line says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from compress.errors import CompressError, first_line
from compress.training.execution import Execution

WARM = 3  # plain steps first: cuDNN chooses its kernels, optimisers allocate
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 3e-2}
"""How far a graph's step may be from the plain one, as a share of the change that the step makes."""
Step = Callable[..., tuple[Tensor, ...]]


class Graph(Protocol):
    """A recording of operations on a device."""

    def rehearse(self, step: Callable[[], None]) -> None:
        """Run the step once where it will be recorded."""

    def record(self, step: Callable[[], None]) -> None:
        """Record what the step does."""

    def replay(self) -> None:
        """Do it again."""


class CudaGraph:
    """torch's."""

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    def rehearse(self, step: Callable[[], None]) -> None:
        """On a stream of its own, as torch advises: autograd remembers the stream of a first use."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            step()
        torch.cuda.current_stream().wait_stream(side)

    def record(self, step: Callable[[], None]) -> None:
        """Nothing runs yet."""
        with torch.cuda.graph(self._graph):
            step()

    def replay(self) -> None:
        """One launch."""
        self._graph.replay()


GRAPHS: Mapping[str, Callable[[], Graph]] = {"cuda": CudaGraph}
"""By type of device: how its steps are recorded."""


class Captured:
    """A step `(inputs) -> outputs` of tensors, which changes a state of tensors; as a graph where that is right.

    The outputs are valid until the next step. `execution.compute.capture` decides: `off` never records, `auto` falls
    back to the plain step with a notice, `on` raises `CompressError` instead.
    """

    def __init__(self, step: Step, state: Callable[[], Iterable[Tensor]], execution: Execution, name: str) -> None:
        self._step, self._state, self._name = step, state, name
        self._mode, self._dtype = execution.compute.capture, execution.compute.dtype
        self._make = GRAPHS.get(execution.device.type)
        self._alone = execution.workers.size == 1
        self._refused: str | None = None
        self._notice: str | None = None
        self.forget()

    @property
    def wanted(self) -> bool:
        """Whether a graph may come."""
        return self._mode != "off" and self._make is not None and self._alone and self._refused is None

    @property
    def active(self) -> bool:
        """Whether steps run as a graph now."""
        return self._graph is not None

    def forget(self) -> None:
        """Begin anew: what was recorded is about other memory."""
        self._graph: Graph | None = None
        self._inputs: list[Tensor] = []
        self._outputs: tuple[Tensor, ...] = ()
        self._steps = 0

    def notice(self) -> str | None:
        """Why there is no graph; told once."""
        said, self._notice = self._notice, None
        return said

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The step."""
        if self._graph is not None and [i.shape for i in inputs] == [i.shape for i in self._inputs]:
            for place, value in zip(self._inputs, inputs, strict=True):
                place.copy_(value)
            self._graph.replay()
            return self._outputs
        self._steps += 1
        if not self.wanted or self._graph is not None or self._steps <= WARM:
            return self._step(*inputs)
        return self._try(inputs)

    def _try(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """This step in both ways, from the same state; the graph is kept if they agree."""
        assert self._make is not None
        graph, state, plain = self._make(), list(self._state()), list[Tensor]()
        before = [tensor.detach().clone() for tensor in state]
        graph.rehearse(lambda: plain.extend(output.clone() for output in self._step(*inputs)))
        after = [tensor.detach().clone() for tensor in state]
        try:
            _put(before, state)
            self._inputs = [value.clone() for value in inputs]
            recorded: list[Tensor] = []
            graph.record(lambda: recorded.extend(self._step(*self._inputs)))
            _put(before, state)
            graph.replay()
            fault = _difference(before, after, state, plain, recorded, TOLERANCE[self._dtype])
        except (RuntimeError, NotImplementedError) as error:
            fault = first_line(error)
        if fault is None:
            self._graph, self._outputs = graph, tuple(recorded)
            return self._outputs
        _put(after, state)
        self._refuse(fault)
        return tuple(plain)

    def _refuse(self, fault: str) -> None:
        self._refused = f"{self._name} does not run as a CUDA graph: {fault}"
        if self._mode == "on":
            raise CompressError(f"{self._refused}; with capture auto or off it runs step by step")
        self._notice = f"{self._refused}; it runs step by step, which takes longer"


@torch.no_grad()
def _put(values: Iterable[Tensor], places: Iterable[Tensor]) -> None:
    for value, place in zip(values, places, strict=True):
        place.copy_(value)


@torch.no_grad()
def _difference(
    before: list[Tensor],
    plain: list[Tensor],
    graph: list[Tensor],
    plain_outputs: list[Tensor],
    graph_outputs: list[Tensor],
    tolerance: float,
) -> str | None:
    """What a graph's step does otherwise than the plain one; None where they agree but for rounding."""
    far = change = 0.0
    for old, one, other in zip(before, plain, graph, strict=True):
        far += float((other.double() - one.double()).square().sum())
        change += float((one.double() - old.double()).square().sum())
    if not far <= tolerance**2 * change:
        return f"its weights differ from those of the plain step by {far**0.5:.2g}, of a change of {change**0.5:.2g}"
    for one, other in zip(plain_outputs, graph_outputs, strict=True):
        if not torch.allclose(one.double(), other.double(), rtol=tolerance, atol=tolerance):
            return "its losses differ from those of the plain step"
    return None
