"""The three parts of a written file, each run separately: preprocessing, network, postprocessing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper
from torch import Tensor

from .inner_graphs import graphs_in
from .processing import BODY_INPUT, BODY_OUTPUT
from .providers import LOG_NOTHING

TYPES = {BODY_INPUT: TensorProto.FLOAT, BODY_OUTPUT: TensorProto.FLOAT, "size": TensorProto.INT64}
"""Types of the values at which a file is split."""
SHAPES = {BODY_INPUT: [None, 3, None, None]}
"""Shapes of these values: without a rank, onnxruntime infers wrong shapes for a resize in the network."""


class Part:
    """A subgraph of a file, in its own session on the CPU."""

    def __init__(self, model: ModelProto, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The subgraph from `inputs` to `outputs`; raises `ValueError` if the file does not have these values."""
        self._outputs = list(outputs)
        settings = ort.SessionOptions()
        settings.log_severity_level = LOG_NOTHING
        content = _between(model, inputs, outputs).SerializeToString()
        self._session = ort.InferenceSession(content, settings, providers=["CPUExecutionProvider"])

    def __call__(self, **values: Tensor) -> dict[str, Tensor]:
        """Run the part: outputs by name for inputs by name."""
        inputs = {name: np.ascontiguousarray(value.numpy()) for name, value in values.items()}
        outputs = self._session.run(self._outputs, inputs)
        return {name: torch.from_numpy(np.array(output)) for name, output in zip(self._outputs, outputs, strict=True)}


class Parts:
    """The parts of a file."""

    def __init__(self, path: Path) -> None:
        self._model = onnx.load(path)
        graph = self._model.graph
        self._inputs = [value.name for value in graph.input]
        self._outputs = [value.name for value in graph.output]

    def network(self) -> Part:
        """The network: `images [n, 3, h, w]` in [0, 1] to `network_logits [n, k, *s]`."""
        return Part(self._model, [BODY_INPUT], [BODY_OUTPUT])

    def preprocessing(self) -> Part | None:
        """The preprocessing: `pixels`, uint8 `[n, h, w, 3]`, to `images`; None for a file that takes images."""
        return None if BODY_INPUT in self._inputs else Part(self._model, self._inputs, [BODY_INPUT])

    def postprocessing(self) -> tuple[Part, bool]:
        """The postprocessing: `network_logits` to the file's outputs.

        Also whether it has a second input, `size`, long `[2]`: the height and width to which maps are resized.
        """
        sized = _reaches(self._model, self._outputs, "size", {BODY_OUTPUT})
        return Part(self._model, [BODY_OUTPUT, *(["size"] if sized else [])], self._outputs), sized


def _between(model: ModelProto, inputs: Sequence[str], outputs: Sequence[str]) -> ModelProto:
    """The subgraph from `inputs` to `outputs`, with the weights that it needs."""
    nodes, values = _leading_to(model, outputs, set(inputs))
    unknown = [name for name in outputs if name not in values]
    weights = [weight for weight in model.graph.initializer if weight.name in values]
    defined = {weight.name for weight in weights} | {name for node in nodes for name in node.output} | set(inputs)
    missing = unknown or sorted(name for node in nodes for name in node.input if name and name not in defined)
    if missing:
        raise ValueError(f"it has no value {missing[0]!r} where its network starts or ends")
    declared = {value.name: value for value in (*model.graph.input, *model.graph.output)}
    graph = helper.make_graph(nodes, "part", _typed(inputs, declared), _typed(outputs, declared), weights)
    part: ModelProto = helper.make_model(graph, ir_version=model.ir_version, opset_imports=model.opset_import)
    part.functions.extend(model.functions)
    return part


def _leading_to(model: ModelProto, outputs: Iterable[str], inputs: set[str]) -> tuple[list[NodeProto], set[str]]:
    """The nodes that compute `outputs`, in their order, and the names of all values that they read or write."""
    makers = {name: index for index, node in enumerate(model.graph.node) for name in node.output if name}
    places, values, waiting = set[int](), set[str](), list(outputs)
    while waiting:
        name = waiting.pop()
        if name in values or (name in inputs and name not in outputs):
            continue
        values.add(name)
        place = makers.get(name)
        if place is not None and place not in places:
            places.add(place)
            waiting += _needs(model.graph.node[place])
    return [model.graph.node[place] for place in sorted(places)], values


def _reaches(model: ModelProto, outputs: Sequence[str], name: str, stops: set[str]) -> bool:
    return name in _leading_to(model, outputs, stops)[1]


def _needs(node: NodeProto) -> Iterator[str]:
    """Values that a node reads, including those that its inner graphs read."""
    yield from (name for name in node.input if name)
    for graph in graphs_in(node):
        for inner in graph.node:
            yield from _needs(inner)


def _typed(names: Sequence[str], declared: Mapping[str, ValueInfoProto]) -> list[ValueInfoProto]:
    """Declarations of values: the file's own with a free batch, or by type with any shape."""
    return [
        _of_any_batch(declared[name])
        if name in declared
        else helper.make_tensor_value_info(name, TYPES[name], SHAPES.get(name))
        for name in names
    ]


def _of_any_batch(value: ValueInfoProto) -> ValueInfoProto:
    copy = ValueInfoProto()
    copy.CopyFrom(value)
    for axis in copy.type.tensor_type.shape.dim[:1]:
        axis.dim_param = "batch"
    return copy
