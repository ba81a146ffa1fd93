"""A network's graph with QuantizeLinear/DequantizeLinear pairs, some of its layers left in float32."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from .precision import Array
from .targets import Scheme

QUANTISED = ["Conv", "Gemm", "MatMul"]
"""Operators that are quantised: all multiplications. The others are cheap and stay in float32."""
BOUNDED = ["Relu", "Clip"]
"""Operators that bound a range. The pair is placed after them and replaces them; before them it would also have to
represent the values that they cut off."""
RANGED = [*QUANTISED, *BOUNDED]
"""Operators whose inputs and outputs need a range."""


@dataclass(frozen=True, kw_only=True)
class NetworkToQuantise:
    """A float32 network with the ranges, scheme and bias corrections for its INT8 form."""

    network: ModelProto
    ranges: TensorsData
    """Ranges of inputs and outputs of the operators in `RANGED`."""
    scheme: Scheme
    corrections: Mapping[str, Array] = field(default_factory=dict)
    """By layer, the mean rounding error of each channel, `[c]`, which is subtracted from its bias."""

    @cached_property
    def layers(self) -> Mapping[str, NodeProto]:
        """The layers that can be quantised, by name, in their order."""
        return {node.name: node for node in self.network.graph.node if node.op_type in QUANTISED}

    def weight_bytes(self, layer: str) -> int:
        """Bytes of a layer's weights in float32; 0 if it multiplies two activations."""
        names = set(self.layers[layer].input)
        return sum(len(tensor.raw_data) for tensor in self.network.graph.initializer if tensor.name in names)

    def with_float(self, kept: Collection[str] = ()) -> ModelProto:
        """The network in INT8, with the layers `kept` in float32."""
        copy = ModelProto()
        copy.CopyFrom(self.network)
        layers = [name for name in self.layers if name not in kept]
        if not layers:
            return copy
        self._correct(copy, layers)
        quantiser = QDQQuantizer(
            copy,
            per_channel=True,
            reduce_range=self.scheme.seven_bits,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8 if self.scheme.symmetric else QuantType.QUInt8,
            tensors_range=self.ranges,
            nodes_to_quantize=layers,
            nodes_to_exclude=[],
            op_types_to_quantize=QUANTISED,
            extra_options={
                "ActivationSymmetric": self.scheme.symmetric,
                "WeightSymmetric": True,
                "QuantizeBias": self.scheme.integer_bias,
                "OpTypesToExcludeOutputQuantization": QUANTISED,
            },
        )
        if self.scheme.behind_layers:
            for name in self._behind(layers):
                quantiser.quantize_activation_tensor(name)
        quantiser.quantize_model()
        quantiser.model.topological_sort()
        model: ModelProto = quantiser.model.model
        return model

    def _behind(self, layers: Collection[str]) -> Iterator[str]:
        """Outputs of convolutions that are quantised, after the operator that bounds them if there is one.

        Outputs that only float32 layers read are not quantised, because these layers are kept free of rounding.
        """
        for name in layers:
            node = self.layers[name]
            if node.op_type != "Conv":
                continue
            readers = self._readers.get(node.output[0], [])
            bounded = len(readers) == 1 and readers[0].op_type in BOUNDED
            output = readers[0].output[0] if bounded else node.output[0]
            last = self._readers.get(output, [])
            if not last or any(reader.name not in self.layers or reader.name in layers for reader in last):
                yield output

    @cached_property
    def _readers(self) -> Mapping[str, list[NodeProto]]:
        readers: dict[str, list[NodeProto]] = {}
        for node in self.network.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        return readers

    def _correct(self, model: ModelProto, layers: Collection[str]) -> None:
        """Correct the biases of layers in place; each becomes a separate weight."""
        weights = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            shift = self.corrections.get(node.name)
            if shift is None or node.name not in layers or not _takes_bias(node):
                continue
            before = np.zeros_like(shift)
            if len(node.input) > 2:
                if node.input[2] not in weights or list(weights[node.input[2]].dims) != list(shift.shape):
                    continue
                before = numpy_helper.to_array(weights[node.input[2]])
                del node.input[2]
            name = f"{node.name}_bias"
            node.input.append(name)
            model.graph.initializer.append(numpy_helper.from_array((before - shift).astype(np.float32), name))


def _takes_bias(node: NodeProto) -> bool:
    factors = [helper.get_attribute_value(entry) for entry in node.attribute if entry.name == "beta"]
    return node.op_type == "Conv" or (node.op_type == "Gemm" and factors in ([], [1.0]))
