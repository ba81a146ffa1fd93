"""ONNX: write a file, prove that it does what the model does, run it."""

from .parity import Parity, check_parity, require_parity
from .runtime import OnnxModel, spec_of
from .verified import export_verified
from .writer import ExportFacts, write_onnx

__all__ = [
    "ExportFacts", "OnnxModel", "Parity", "check_parity", "export_verified", "require_parity", "spec_of", "write_onnx",
]  # fmt: skip
