"""What runtimes do not support, according to their documentation.

TensorRT: the operator table of its ONNX parser (onnx-tensorrt, docs/operators.md) and the types of its C++ API. INT8
must be symmetric. 8-bit images and class maps are allowed only as inputs and outputs of a network, cast from and to
floating point. There is no antialiasing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .inner_graphs import nodes_of

UNSUPPORTED = {
    "BitShift", "Compress", "ConcatFromSequence", "ConvInteger", "Det", "DynamicQuantizeLinear", "Hardmax",
    "IsInf", "MatMulInteger", "MaxRoiPool", "MaxUnpool", "Multinomial", "NegativeLogLikelihoodLoss", "Optional",
    "OptionalGetElement", "OptionalHasElement", "QLinearConv", "QLinearMatMul", "SequenceAt", "SequenceConstruct",
    "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap",
    "SoftmaxCrossEntropyLoss", "SplitToSequence", "StringNormalizer", "TfIdfVectorizer", "Unique",
}  # fmt: skip
"""Operators that the parser does not support."""
COORDINATES = ("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners")
FIXED_INPUTS = {"TopK": 1, "CumSum": 1}
"""Indices of inputs that must be weights."""
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)


def foreign_operators(model: ModelProto) -> list[str]:
    """A reason for each operator domain other than ONNX's own."""
    domains = {node.domain for node in nodes_of(model.graph)} - {"", "ai.onnx"}
    return [f"it has operators of the domain {domain}" for domain in sorted(domains)]


def tensorrt_limits(model: ModelProto) -> list[str]:
    """The reasons why TensorRT's parser refuses a file; empty if it should accept it."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    reasons = foreign_operators(model) + list(_wrong_bytes(graph))
    for node in nodes_of(graph):
        reasons += _limits_of(node, weights)
    counted = {reason: reasons.count(reason) for reason in reasons}
    return [reason if count == 1 else f"{reason} ({count} times)" for reason, count in counted.items()]


def _limits_of(node: NodeProto, weights: dict[str, TensorProto]) -> list[str]:
    if node.op_type in UNSUPPORTED:
        return [f"it has no {node.op_type}"]
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        return list(_wrong_pair(node, weights))
    if node.op_type == "Resize":
        return list(_wrong_resize(node))
    place = FIXED_INPUTS.get(node.op_type)
    if place is not None and node.input[place] not in weights:
        return [f"input {place} of {node.op_type} must be a weight"]
    return []


def _wrong_pair(node: NodeProto, weights: dict[str, TensorProto]) -> Iterator[str]:
    zero = weights.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if zero is None:
        return
    if zero.data_type != TensorProto.INT8:
        kind = "biases" if zero.data_type == TensorProto.INT32 else "activations"
        yield f"quantised {kind} are {helper.tensor_dtype_to_np_dtype(zero.data_type)}, it takes int8"
    elif np.any(numpy_helper.to_array(zero)):
        yield "zero points differ from 0"


def _wrong_resize(node: NodeProto) -> Iterator[str]:
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if attributes.get("antialias"):
        yield "it resizes without antialiasing"
    mode = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    if mode not in COORDINATES:
        yield f"it does not resize by {mode}"


def _wrong_bytes(graph: GraphProto) -> Iterator[str]:
    """A reason for each uint8 input or output that is not cast to or from floating point directly."""
    entries = {value.name for value in graph.input if value.type.tensor_type.elem_type == TensorProto.UINT8}
    readers = [node for node in graph.node if entries & set(node.input)]
    for node in readers:
        if node.op_type != "Cast" or _cast_to(node) not in FLOATS:
            yield f"8-bit pixels must be cast to floating point first, not after {node.op_type}"
    makers = {name: node for node in graph.node for name in node.output}
    exits = [value.name for value in graph.output if value.type.tensor_type.elem_type == TensorProto.UINT8]
    for name in exits:
        source = makers[makers[name].input[0]] if name in makers and makers[name].op_type == "Cast" else None
        if source is None or source.op_type != "Cast" or _cast_to(source) not in FLOATS:
            yield "8-bit class maps must be cast from floating point"


def _cast_to(node: NodeProto) -> int:
    kinds: Iterator[int] = (attribute.i for attribute in node.attribute if attribute.name == "to")
    return next(kinds)
