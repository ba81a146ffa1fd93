"""The same graph in the form that most importers take."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .target_limits import nodes_of

NUMBERS = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
"""Attributes of a Constant that are numbers and no tensor."""


def make_portable(model: ModelProto) -> None:
    """Change a model in place, results being the same.

    Constants become weights: OpenCV's importer and onnxruntime's own preparation for quantisation read constants that
    are tensors only. Every domain is imported once, and none that no operator is of. A reshape to a shape without a 0
    says no longer what a 0 would mean, which some importers refuse to hear.
    """
    for graph in _graphs(model.graph):
        answers = {value.name for value in graph.output}
        constants = [node for node in graph.node if node.op_type == "Constant" and node.output[0] not in answers]
        weights = [(node, tensor) for node in constants if (tensor := _tensor(node)) is not None]
        for node, tensor in weights:
            graph.node.remove(node)
            graph.initializer.append(tensor)
    _drop_needless_zeros(model.graph)
    _import_once(model)


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's own operators."""
    versions: Iterator[int] = (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return next(versions)


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _graphs(inner)


def _tensor(node: NodeProto) -> TensorProto | None:
    """The value of a Constant as a weight of its name; None of texts and sparse tensors, which stay as they are."""
    (attribute,) = node.attribute
    if attribute.type == AttributeProto.TENSOR:
        tensor = TensorProto()
        tensor.CopyFrom(attribute.t)
        tensor.name = node.output[0]
        return tensor
    dtype = NUMBERS.get(attribute.name)
    if dtype is None:
        return None
    return numpy_helper.from_array(np.array(helper.get_attribute_value(attribute), dtype=dtype), node.output[0])


def _drop_needless_zeros(graph: GraphProto) -> None:
    weights = {tensor.name: tensor for inner in _graphs(graph) for tensor in inner.initializer}
    for node in nodes_of(graph):
        shape = weights.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is None or not np.all(numpy_helper.to_array(shape)):
            continue
        for attribute in [attribute for attribute in node.attribute if attribute.name == "allowzero"]:
            node.attribute.remove(attribute)


def _import_once(model: ModelProto) -> None:
    nodes = [*nodes_of(model.graph), *(node for function in model.functions for node in function.node)]
    used = {"ai.onnx" if node.domain == "" else node.domain for node in nodes} | {"ai.onnx"}
    versions: dict[str, int] = {}
    for entry in model.opset_import:
        versions[entry.domain] = max(entry.version, versions.get(entry.domain, 0))
    del model.opset_import[:]
    for domain, version in versions.items():
        if (domain or "ai.onnx") in used:
            model.opset_import.append(helper.make_opsetid(domain, version))
