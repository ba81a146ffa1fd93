"""Half precision: the network computes in fp16; its input and output stay float32."""

from __future__ import annotations

from onnx import ModelProto
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel as Rewriter

from .precision import Converted, Source


def to_fp16(source: Source) -> Converted:
    """The network in fp16. onnxruntime's converter leaves nodes in an invalid order, so they are sorted again."""
    copy = ModelProto()
    copy.CopyFrom(source.network)
    model: ModelProto = convert_float_to_float16(copy, keep_io_types=True)
    rewriter = Rewriter(model)
    rewriter.topological_sort()
    return Converted(network=model)
