"""The first inference of a new process, which imports only what the model's runtime needs."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np


def peak_of_first_inference(
    kind: str, path: Path, provider: str, shape: tuple[int, ...], settings: Mapping[str, Any]
) -> float:
    """Load one model, run it once and return the process's peak memory in megabytes.

    `shape` is that of one image; `settings` are those of `ModelSettings`.
    """
    image = np.zeros((1, *shape), np.float32)
    if kind == "onnxruntime":
        from compress.export import OnnxModel

        model = OnnxModel(path, provider=provider)
        model.run(model.as_input(image))
    else:
        from compress.data_settings import ModelSettings
        from compress.runs.timed_models import TimedModel

        way: Literal["compiled", "eager"] = "compiled" if kind == "compiled" else "eager"
        TimedModel(path=path, kind=way, provider=provider, settings=ModelSettings(**settings)).start().whole(image)()
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux ru_maxrss includes the memory of the parent process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10  # bytes there, kibibytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
