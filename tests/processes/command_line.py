"""The command line in processes of their own, forked from one that has imported the libraries.

Importing torch, timm and segmentation-models-pytorch takes longer than most commands that tests run. `compress` itself
is imported anew in each process, in an empty directory and with the environment of the test.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

SERVER = get_context("forkserver")
LIBRARIES = ["torch", "torchvision", "timm", "segmentation_models_pytorch", "onnx", "onnxscript", "safetensors.torch"]
LIBRARIES += ["pydantic", "cyclopts", "rich.console", "scipy.stats", "sklearn.datasets", "matplotlib.figure", "jinja2"]
SERVER.set_forkserver_preload(LIBRARIES)


def run_compress(
    words: list[str], folder: Path, timeout: float, meanwhile: Callable[[int], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """What `compress WORDS...` says in `folder` and how it ends; `TimeoutExpired` after `timeout` seconds.

    `meanwhile` is called with the number of the process once it has begun.
    """
    with TemporaryDirectory() as said:
        streams = [Path(said, name) for name in ("stdout", "stderr")]
        process = SERVER.Process(target=_run, args=(words, folder, streams, dict(os.environ)))
        process.start()
        if meanwhile is not None:
            meanwhile(process.pid)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(words, timeout)
        return subprocess.CompletedProcess(words, process.exitcode, *(stream.read_text() for stream in streams))


def _run(words: list[str], folder: Path, streams: list[Path], environment: dict[str, str]) -> None:
    for stream, descriptor in zip(streams, (1, 2), strict=True):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has background jobs ignore
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["compress", *words]
    from compress.cli import main

    main(words)
