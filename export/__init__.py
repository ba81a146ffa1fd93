"""ONNX: write, quantise, verify, run and time files.

`OnnxModel` needs neither torch nor timm, so names are imported on demand.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .card import FileCard, is_own_file
    from .parity import check_parity, require_parity
    from .parity_measures import Parity
    from .precision import Converted, Precision, Source
    from .precisions import PRECISIONS, find_precision
    from .processing import Form
    from .providers import tensorrt_options
    from .runtime import Decision, OnnxModel, decided, decision, prepared
    from .saving import LEAST_SAVED, Saving
    from .scoring import OnnxScores, spec_of
    from .targets import TARGETS, Scheme, Target, find_target
    from .tolerance import Tolerance
    from .verified_export import ExportFacts, Order, export_verified

_PLACES = {
    "Converted": "precision", "Decision": "runtime", "ExportFacts": "verified_export", "FileCard": "card",
    "Form": "processing", "LEAST_SAVED": "saving", "OnnxModel": "runtime", "OnnxScores": "scoring",
    "Order": "verified_export", "PRECISIONS": "precisions", "Parity": "parity_measures",
    "Precision": "precision", "Saving": "saving", "Scheme": "targets", "Source": "precision",
    "TARGETS": "targets", "Target": "targets", "Tolerance": "tolerance", "check_parity": "parity",
    "decided": "runtime", "decision": "runtime", "export_verified": "verified_export",
    "find_precision": "precisions", "find_target": "targets", "is_own_file": "card", "prepared": "runtime",
    "require_parity": "parity", "spec_of": "scoring", "tensorrt_options": "providers",
}  # fmt: skip

__all__ = [
    "LEAST_SAVED",
    "PRECISIONS",
    "TARGETS",
    "Converted",
    "Decision",
    "ExportFacts",
    "FileCard",
    "Form",
    "OnnxModel",
    "OnnxScores",
    "Order",
    "Parity",
    "Precision",
    "Saving",
    "Scheme",
    "Source",
    "Target",
    "Tolerance",
    "check_parity",
    "decided",
    "decision",
    "export_verified",
    "find_precision",
    "find_target",
    "is_own_file",
    "prepared",
    "require_parity",
    "spec_of",
    "tensorrt_options",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """The public names, from their modules."""
    if name not in _PLACES:
        raise AttributeError(f"module 'compress.export' has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
