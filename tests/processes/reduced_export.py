"""Exports at reduced cost: one trace a network, however many files are written of it, and few images to compare on."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import onnx
import pytest
import torch
from filelock import FileLock
from onnx import ModelProto

from compress.export import comparison_images, verified_export, writer
from compress.task import Deployable, TaskSpec

TRACES = "TRACES_OF_TESTS"
"""The environment variable that names the folder of this session's traces, which all of pytest's workers share."""


def reduce_exports(patch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone, files are compared with their networks on few images."""
    patch.setattr(comparison_images, "IMAGES", 16)


def trace_once(patch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone, a network that any test of the session has traced so is not traced again."""
    folder = Path(os.environ[TRACES])

    def once(network: Deployable, spec: TaskSpec, **options: object) -> ModelProto:
        try:
            file = folder / f"{_identity(network, spec, options)}.onnx"
        except Exception:  # the exporter says what it is
            return writer.exported(network, spec, **options)
        with FileLock(f"{file}.lock"):
            if not file.exists():
                file.write_bytes(writer.exported(network, spec, **options).SerializeToString())
        return onnx.load(file)

    patch.setattr(verified_export, "exported", once)


@torch.no_grad()
def _identity(network: Deployable, spec: TaskSpec, options: dict[str, object]) -> str:
    """What hangs on a network's structure, its numbers, its answer to an image, and how it is traced."""
    identity = sha256(repr((str(network), spec.image_shape, sorted(options.items()))).encode())
    image = torch.rand(2, *spec.image_shape, generator=torch.Generator().manual_seed(0))
    for tensor in (*network.parameters(), *network.buffers(), network.eval()(image)):
        identity.update(tensor.detach().contiguous().numpy().tobytes())
    return identity.hexdigest()
