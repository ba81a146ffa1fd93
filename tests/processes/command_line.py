"""The command line in processes of their own, forked from one that has imported the libraries.

Importing torch, timm and segmentation-models-pytorch takes longer than most commands that tests run. `compress` itself
is imported anew in each process, in an empty directory and with the environment of the test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(["torch", "torchvision", "timm", "segmentation_models_pytorch", "onnx", "onnxscript"])


def run_compress(words: list[str], folder: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    """What `compress WORDS...` says in `folder` and how it ends; `TimeoutExpired` after `timeout` seconds."""
    with TemporaryDirectory() as said:
        streams = [Path(said, name) for name in ("stdout", "stderr")]
        process = SERVER.Process(target=_run, args=(words, folder, streams, dict(os.environ)))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(words, timeout)
        return subprocess.CompletedProcess(words, process.exitcode, *(stream.read_text() for stream in streams))


def _run(words: list[str], folder: Path, streams: list[Path], environment: dict[str, str]) -> None:
    for stream, descriptor in zip(streams, (1, 2), strict=True):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["compress", *words]
    from compress.cli import main

    main(words)
