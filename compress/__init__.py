"""Data-free compression of vision models: a teacher goes in, a small student and a verified ONNX file come out.

A script starts from `compress.distill` for two modules of its own, or from these::

    from compress.methods import METHODS, MethodContext
    from compress.settings import DistillSettings
    from compress.task import Task, TaskSpec

`tasks/`, `export/` and `configs/` stand beside this folder in a checkout and are installed as `compress.tasks`,
`compress.export` and `compress.configs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compress.api import Distilled, distill

__all__ = ["Distilled", "distill"]

_checkout = Path(__file__).parent.parent
if not (Path(__file__).parent / "tasks").is_dir() and (_checkout / "tasks").is_dir():
    __path__.append(str(_checkout))  # the documented way to spread one package over several folders

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """The Python API, imported when it is asked for: torch and timm take seconds."""
    if name not in __all__:
        raise AttributeError(f"module 'compress' has no attribute {name!r}")
    from compress import api

    return getattr(api, name)
