"""INT8 with onnxruntime's quantiser, calibrated on real or synthetic images, with sensitive layers in float32."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData, create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from compress.errors import GateError

from .processing import BODY_INPUT
from .providers import LOG_NOTHING
from .tolerance import TOLERANCES

Array = NDArray[Any]
QUANTISED = ["Conv", "Gemm", "MatMul"]
"""Operators that are quantised: all multiplications. The others are cheap and stay in float32."""
BATCH = 8
"""Images per calibration batch. The outputs of all layers for them are in memory at once."""
ALLOWED = TOLERANCES["int8"]
"""Layers return to float32, the most sensitive first, until this share of decisions is kept."""


@dataclass(frozen=True)
class Quantised:
    """A network in INT8."""

    model: ModelProto
    decisions: float
    """Share of float32's decisions that it keeps, or misses by a near-tie, on the images it was checked on."""
    kept_float: tuple[str, ...]
    """Names of the layers in float32, the most sensitive first."""


class _Reader:
    """One batch in the interface of onnxruntime's calibrators."""

    def __init__(self, images: Array) -> None:
        self._batches = iter([images])

    def get_next(self) -> dict[str, Array] | None:
        """The batch, then None."""
        batch = next(self._batches, None)
        return None if batch is None else {BODY_INPUT: batch}


def quantised(body: ModelProto, calibration: Array, check: Array) -> Quantised:
    """The network with weights of 7 bits by channel and activations of 8, as QuantizeLinear/DequantizeLinear pairs.

    `calibration` and `check` are float32 images `[n, 3, h, w]` in [0, 1]: ranges of activations are read from the
    first, decisions are compared with float32's on the second. Activations are unsigned, which is fast on CPUs. Raises
    `GateError` if decisions change too often even with half of the layers and more left in float32.
    """
    with _quiet():
        ranges = _ranges(body, calibration)
        expected = _logits(body, check)
        layers = [node.name for node in body.graph.node if node.op_type in QUANTISED]

        def attempt(kept: Sequence[str]) -> Quantised:
            model = _rewritten(body, ranges, [layer for layer in layers if layer not in kept])
            return Quantised(model, _kept(_logits(model, check), expected), tuple(kept))

        result = attempt(())
        if result.decisions >= ALLOWED.decisions:
            return result
        harm = {layer: _harm(_rewritten(body, ranges, [layer]), check, expected) for layer in layers}
        worst_first = sorted(layers, key=lambda layer: -harm[layer])
        count = 1
        while result.decisions < ALLOWED.decisions and count < len(layers):
            result, count = attempt(worst_first[:count]), 2 * count
        if result.decisions < ALLOWED.decisions:
            raise GateError(
                f"INT8 keeps {result.decisions:.1%} of the decisions with {len(result.kept_float)} of {len(layers)} "
                f"layers in float32, {ALLOWED.decisions:.0%} are required: use `precision` fp16 or fp32"
            )
        return result


def _ranges(body: ModelProto, images: Array) -> TensorsData:
    """The smallest and largest value of every activation."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "body.onnx"
        onnx.save(body, path)
        calibrator = create_calibrator(
            path,
            QUANTISED,
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
        )
        for batch in _batches(images):
            calibrator.collect_data(_Reader(batch))
        return calibrator.compute_data()


def _rewritten(body: ModelProto, ranges: TensorsData, layers: list[str]) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(body)
    quantiser = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=True,  # processors without VNNI add pairs of products in 16 bits, which eight-bit weights overflow
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=layers,
        nodes_to_exclude=[],
        op_types_to_quantize=QUANTISED,
        extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
    )
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    model: ModelProto = quantiser.model.model
    return model


def _logits(model: ModelProto, images: Array) -> Array:
    settings = ort.SessionOptions()
    settings.log_severity_level = LOG_NOTHING
    session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {BODY_INPUT: batch})[0] for batch in _batches(images)])


def _kept(logits: Array, expected: Array) -> float:
    return ALLOWED.kept(torch.from_numpy(expected), torch.from_numpy(logits).argmax(dim=1))


def _harm(model: ModelProto, images: Array, expected: Array) -> float:
    """Mean squared change of the logits with one layer in INT8."""
    return float(np.square(_logits(model, images) - expected).mean())


def _batches(images: Array) -> Iterator[Array]:
    yield from np.array_split(images, max(-(-len(images) // BATCH), 1))


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises on preparing models, by the root logger; torch's exporter has done what it advises."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
