"""The rounding error of each layer separately, measured for all layers in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .calibration import batches, session
from .precision import Array
from .processing import BODY_INPUT
from .quantised_graph import NetworkToQuantise

LEAST = 1e-12
AXES = {"Conv": [0, 2, 3], "Gemm": [0], "MatMul": [0]}
"""Axes over which the mean of each channel of a layer's output is computed."""


@dataclass(frozen=True)
class LayerError:
    """The error of a layer in INT8 for an exact input."""

    noise: float
    """Mean squared error as a share of the output's variance, averaged over channels, so that all channels count
    equally."""
    shift: Array
    """Mean error of each channel, `[c]`."""


def layer_errors(network: NetworkToQuantise, images: Array) -> Mapping[str, LayerError]:
    """The error of each layer for images float32 `[n, 3, h, w]`.

    One graph has the float32 network and, beside each layer, the same layer in INT8, which reads the float32 values. So
    the error of one layer does not reach another.
    """
    compared = _compared(network)
    names = [output.name for output in compared.graph.output]
    inference, sums, count = session(compared), [np.zeros(1)] * len(names), 0
    for batch in batches(images):
        values = inference.run(names, {BODY_INPUT: batch})
        sums = [total + len(batch) * value.astype(np.float64) for total, value in zip(sums, values, strict=True)]
        count += len(batch)
    means = {name: total / count for name, total in zip(names, sums, strict=True)}
    return {layer: _error(*(means[f"{layer}_{kind}"] for kind in KINDS)) for layer in network.layers}


KINDS = ("shift", "squares", "mean", "power")
"""Means over images and positions of the error, its square, the output and its square."""


def _error(shift: Array, squares: Array, mean: Array, power: Array) -> LayerError:
    variance = np.maximum(power - mean**2, LEAST + 1e-6 * power)
    return LayerError(float(np.mean(np.minimum(squares / variance, 1.0))), shift.astype(np.float32))


def _compared(network: NetworkToQuantise) -> ModelProto:
    model, integer = ModelProto(), network.with_float()
    model.CopyFrom(network.network)
    graph = model.graph
    del graph.output[:]
    weights = {tensor.name for tensor in graph.initializer}
    own = weights | {value.name for value in graph.input} | {name for node in graph.node for name in node.output}
    graph.initializer.extend(tensor for tensor in integer.graph.initializer if tensor.name not in weights)
    makers = {name: node for node in integer.graph.node for name in node.output}
    layers = [node for node in integer.graph.node if node.name in network.layers]
    copied = set[str]()
    for node in layers:
        for name in node.input:
            _bring(name, makers, own, copied, graph.node)
        graph.node.extend(_beside(node, network.layers[node.name].output[0]))
        graph.output.extend(
            helper.make_tensor_value_info(f"{node.name}_{kind}", TensorProto.FLOAT, None) for kind in KINDS
        )
    for op_type, axes in AXES.items():
        graph.initializer.append(numpy_helper.from_array(np.array(axes, dtype=np.int64), f"axes_of_{op_type}"))
    return model


def _bring(name: str, makers: Mapping[str, NodeProto], own: set[str], copied: set[str], nodes: Any) -> None:
    """Copy the QuantizeLinear/DequantizeLinear pairs from the network's own values to the value `name`."""
    if name in own or name in copied or name not in makers:
        return
    copied.add(name)
    for before in makers[name].input:
        _bring(before, makers, own, copied, nodes)
    nodes.append(makers[name])


def _beside(layer: NodeProto, exact: str) -> list[NodeProto]:
    """The layer in INT8, and the nodes for the four means, which compare it with the float32 value `exact`."""
    twin, name = NodeProto(), layer.name
    twin.CopyFrom(layer)
    twin.name = twin.output[0] = f"{name}_rounded"
    nodes = [twin, helper.make_node("Sub", [twin.output[0], exact], [f"{name}_difference"])]
    for value, mean, square in ((f"{name}_difference", "shift", "squares"), (exact, "mean", "power")):
        rows = value
        if layer.op_type == "MatMul":  # of any rank, channels last
            rows = f"{name}_{mean}_rows"
            nodes.append(helper.make_node("Flatten", [value], [rows], axis=-1))
        nodes.append(helper.make_node("Mul", [rows, rows], [f"{name}_{square}_all"]))
        for source, kind in ((rows, mean), (f"{name}_{square}_all", square)):
            axes = f"axes_of_{layer.op_type}"
            nodes.append(helper.make_node("ReduceMean", [source, axes], [f"{name}_{kind}"], keepdims=0))
    return nodes
