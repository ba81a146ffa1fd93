"""Run a network in onnxruntime on images, for its outputs and the ranges of its activations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto
from onnxruntime.quantization import CalibrationMethod
from onnxruntime.quantization.calibrate import TensorsData, create_calibrator

from .precision import Array
from .processing import BODY_INPUT
from .providers import LOG_NOTHING

BATCH = 8
"""Images in a batch, for which the outputs of all layers are in memory at once."""


class _Reader:
    """One batch in the interface of onnxruntime's calibrators."""

    def __init__(self, images: Array) -> None:
        self._batches = iter([images])

    def get_next(self) -> dict[str, Array] | None:
        """The batch, then None."""
        batch = next(self._batches, None)
        return None if batch is None else {BODY_INPUT: batch}


def activation_ranges(network: ModelProto, images: Array, operators: list[str]) -> TensorsData:
    """Smallest and largest values of all inputs and outputs of some operators, for images float32 `[n, 3, h, w]`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        onnx.save(network, path)
        calibrator = create_calibrator(
            path,
            operators,
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
        )
        for batch in batches(images):
            calibrator.collect_data(_Reader(batch))
        return calibrator.compute_data()


def session(network: ModelProto) -> ort.InferenceSession:
    """A session of the network on the CPU."""
    settings = ort.SessionOptions()
    settings.log_severity_level = LOG_NOTHING
    return ort.InferenceSession(network.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def logits_of(network: ModelProto, images: Array) -> Array:
    """Logits `[n, k, *s]` for images float32 `[n, 3, h, w]`."""
    inference = session(network)
    return np.concatenate([inference.run(None, {BODY_INPUT: batch})[0] for batch in batches(images)])


def batches(images: Array) -> Iterator[Array]:
    """All images in batches of at most `BATCH`."""
    yield from np.array_split(images, max(-(-len(images) // BATCH), 1))
