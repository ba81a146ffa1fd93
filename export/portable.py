"""Rewrite a graph into the form that most importers accept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .inner_graphs import graphs_of, nodes_of

NUMBERS = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
"""Attributes of a Constant that are numbers rather than tensors."""


def make_portable(model: ModelProto) -> None:
    """Change a model in place without changing its results.

    Constants become weights, because OpenCV's importer and onnxruntime's preparation for quantisation read only
    constants that are tensors. Each domain in use is imported once, and unused domains are dropped. A reshape to a
    shape without a 0 loses its attribute `allowzero`, which some importers refuse.
    """
    for graph in graphs_of(model.graph):
        outputs = {value.name for value in graph.output}
        constants = [node for node in graph.node if node.op_type == "Constant" and node.output[0] not in outputs]
        weights = [(node, tensor) for node in constants if (tensor := _tensor(node)) is not None]
        for node, tensor in weights:
            graph.node.remove(node)
            graph.initializer.append(tensor)
    _drop_needless_zeros(model.graph)
    _import_once(model)


def opset_of(model: ModelProto) -> int:
    """The version of the ONNX operators that a model uses."""
    versions: Iterator[int] = (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return next(versions)


def _tensor(node: NodeProto) -> TensorProto | None:
    """The value of a Constant as a weight of its name; None for texts and sparse tensors, which are kept."""
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
    weights = {tensor.name: tensor for inner in graphs_of(graph) for tensor in inner.initializer}
    for node in nodes_of(graph):
        shape = weights.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is None or not np.all(numpy_helper.to_array(shape)):
            continue
        for attribute in [attribute for attribute in node.attribute if attribute.name == "allowzero"]:
            node.attribute.remove(attribute)


def _import_once(model: ModelProto) -> None:
    nodes = [*nodes_of(model.graph), *(node for function in model.functions for node in function.node)]
    used = {_domain(node.domain) for node in nodes} | {""}
    versions: dict[str, int] = {}
    for entry in model.opset_import:
        domain = _domain(entry.domain)
        versions[domain] = max(entry.version, versions.get(domain, 0))
    del model.opset_import[:]
    for domain, version in versions.items():
        if domain in used:
            model.opset_import.append(helper.make_opsetid(domain, version))


def _domain(name: str) -> str:
    """ONNX's own operators have two names for their domain."""
    return "" if name == "ai.onnx" else name
