"""A process that loads one model, answers once and prints its peak memory: `python -m compress.cli.first_answer`.

It imports what the model's runtime needs and no more, as an application would.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np


def main(kind: str, path: str, provider: str, *shape: str) -> None:
    """Print megabytes; `shape` is that of one image."""
    image = np.zeros((1, *map(int, shape)), np.float32)
    if kind == "onnxruntime":
        from compress.export import OnnxModel

        model = OnnxModel(path, provider=provider)
        model.run(model.given(image))
    else:
        from compress.cli.contenders import Contender

        Contender(Path(path), "compiled" if kind == "compiled" else "eager", provider).start().whole(image)()
    print(_peak_megabytes())


def _peak_megabytes() -> float:
    status = Path("/proc/self/status")
    if status.is_file():  # Linux counts into ru_maxrss what the process that started this one held
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10  # bytes there, kibibytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


if __name__ == "__main__":
    main(*sys.argv[1:])
