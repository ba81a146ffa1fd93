"""Half precision: the network's arithmetic in fp16, its input and output in float32."""

from __future__ import annotations

from onnx import ModelProto
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel as Rewriter

from .precision import Converted, Source


def to_fp16(source: Source) -> Converted:
    """The network in fp16. onnxruntime's converter leaves the nodes in an invalid order, which is corrected."""
    copy = ModelProto()
    copy.CopyFrom(source.network)
    model: ModelProto = convert_float_to_float16(copy, keep_io_types=True)
    rewriter = Rewriter(model)
    rewriter.topological_sort()
    return Converted(network=model)
