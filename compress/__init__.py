"""Data-free compression of vision models: a teacher goes in, a small student and a verified ONNX file come out.

`distill`, `teach`, `evaluate`, `predict` and `to_onnx` are the jobs of the command line as functions, with the settings
they take and the errors they raise. `compress.methods` and `compress.task` are for methods and tasks of your own.

`tasks/`, `export/` and `configs/` stand beside this folder in a checkout and are installed as `compress.tasks`,
`compress.export` and `compress.configs`.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compress.api import Distilled, distill, evaluate, predict, teach, to_onnx
    from compress.errors import CompressError, Diverged, GateError, Interrupted, UsageError
    from compress.settings import (
        DistillationSettings,
        DistillSettings,
        GanSettings,
        InversionSettings,
        LabelSettings,
        ReplaySettings,
        TeachSettings,
    )

__all__ = [
    "CompressError",
    "DistillSettings",
    "DistillationSettings",
    "Distilled",
    "Diverged",
    "GanSettings",
    "GateError",
    "Interrupted",
    "InversionSettings",
    "LabelSettings",
    "ReplaySettings",
    "TeachSettings",
    "UsageError",
    "distill",
    "evaluate",
    "predict",
    "teach",
    "to_onnx",
]

_checkout = Path(__file__).parent.parent
if not (Path(__file__).parent / "tasks").is_dir() and (_checkout / "tasks").is_dir():
    __path__.append(str(_checkout))  # the documented way to spread one package over several folders

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
"""onnxruntime 1.31 writes a device id and a database of events for a collector unless this is set before its import.

It is the one thing outside of itself that this package changes; who has set it keeps what is set.
"""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """The Python API, imported when a name of it is used: torch and timm take seconds."""
    if name not in __all__:
        raise AttributeError(f"module 'compress' has no attribute {name!r}")
    room = "settings" if name.endswith("Settings") else "api" if name[0].islower() or name == "Distilled" else "errors"
    return getattr(import_module(f"compress.{room}"), name)
