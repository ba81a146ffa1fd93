"""OpenVINO's file format and runtime, as an alternative to onnxruntime. Needs the extra `openvino`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compress.errors import UsageError, first_line
from compress.storage.files import whole_folder
from compress.task import Deployable

from .card import CARD_KEY, FileCard
from .comparison_images import ComparisonImages, probe_size
from .output_checks import complaint_of
from .parity import check_shapes, shapes_to_check
from .parity_measures import Measured, Parity, measure_answers
from .part_parity import BATCH, BATCH_PIXELS
from .precisions import find_precision
from .reference_outputs import expected_logits
from .rounding import rounding_of
from .runtime import OnnxModel, own_input
from .scoring import answers, spec_of

Array = NDArray[Any]
LIMIT = 200_000_000
"""Largest XML file in bytes."""
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
"""Without it, CPUs with bfloat16 compute in bfloat16."""


def write_openvino(file: Path, out: Path) -> None:
    """Convert the ONNX file to OpenVINO's two files, `out` (.xml) and the weights beside it (.bin), with the same card.

    Both files appear only when both are complete. Raises `UsageError` if OpenVINO is not installed or cannot read the
    file.
    """
    openvino = _library()
    card = OnnxModel(file).card
    try:
        model = openvino.Core().read_model(file)
    except RuntimeError as error:
        raise UsageError(f"OpenVINO cannot read the ONNX file: {first_line(error)}") from error
    model.set_rt_info(card.entries()[CARD_KEY], [CARD_KEY])
    with whole_folder(out) as unfinished:
        openvino.save_model(model, unfinished / out.name, compress_to_fp16=card.precision == "fp16")
        (unfinished / out.name).with_suffix(".bin").replace(out.with_suffix(".bin"))
        (unfinished / out.name).replace(out)


class OpenVinoModel:
    """OpenVINO's files, or an ONNX file of this package, in OpenVINO's runtime on the CPU.

    It has the interface of `OnnxModel`. Raises `UsageError` if OpenVINO is not installed, and for files that it cannot
    load or that have no card.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        core = _library().Core()
        try:
            model = core.read_model(self.path)
            self.card = _card_of(self.path, model)
            self._compiled = core.compile_model(model, "CPU", EXACT)
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"OpenVINO cannot load {path}: {first_line(error)}") from error
        self._names = ["classes", "scores"] if self.card.output == "decision" else [self.card.output]
        missing = set(self._names).difference(*(port.get_names() for port in self._compiled.outputs))
        if missing:
            raise UsageError(f"cannot use {path}: it has no output {', '.join(sorted(missing))}; export it again")

    def as_input(self, images: Array) -> Array:
        """Images float32 `[n, 3, h, w]` in [0, 1] as the file's own input."""
        return own_input(images, self.card)

    def run(self, images: Array) -> dict[str, Array]:
        """The outputs by name for one batch of the file's own input; raises `UsageError` if it cannot be run."""
        try:
            values = self._compiled(np.ascontiguousarray(images))
        except RuntimeError as error:
            raise UsageError(f"OpenVINO fails on images {list(images.shape)}: {first_line(error)}") from error
        outputs = {name: np.array(values[name]) for name in self._names}
        complaint = complaint_of(outputs, self.card, len(images))
        if complaint:
            raise UsageError(f"the file {self.path} {complaint}; export it again")
        return outputs


def check_openvino(network: Deployable, model: OpenVinoModel, images: Tensor | None) -> list[Parity]:
    """Compare OpenVINO's outputs with the network's, at each shape and on many images, as for an ONNX file.

    Its parts are not compared separately: they are compared in the ONNX file from which it was converted.
    """
    card = model.card
    shapes = shapes_to_check(spec_of(model), dynamic_size=card.dynamic_size or card.input == "uint8")
    many = ComparisonImages(
        probe_size(card.image_shape[1:], dynamic_size=card.dynamic_size and card.input == "float"),
        images,
        filled=find_precision(card.precision).tolerance.exact,
    )
    return [*check_shapes(network, model, shapes, images), _check_many(network, model, many)]


@torch.no_grad()
def _check_many(network: Deployable, model: OpenVinoModel, many: ComparisonImages) -> Parity:
    allowed, places = find_precision(model.card.precision).tolerance, many.batches(BATCH_PIXELS, BATCH)
    try:
        measured = _measured(network, model, [many[some] for some in places], 0.0)
        if allowed.exact and measured.share > allowed.difference:
            rounding = rounding_of(network, model.card, [many[some] for some in places[:1]]).probabilities
            measured = _measured(network, model, [many[some] for some in places], rounding)
            allowed = allowed.widened(rounding)
    except Exception as error:  # networks and runtimes raise many exception types
        return Parity.failed(many.shape, f"cannot be compared: {first_line(error, 120)}")
    passed = measured.kept >= allowed.least(len(many)) and measured.share <= allowed.difference
    return measured.verdict(many.shape, passed)


def _measured(network: Deployable, model: OpenVinoModel, batches: Sequence[Tensor], rounding: float) -> Measured:
    allowed, card = find_precision(model.card.precision).tolerance.widened(rounding), model.card
    return Measured.together(
        [
            measure_answers(expected_logits(network, card, some), answers(model, some), card, allowed)[0]
            for some in batches
        ]
    )


def is_own_openvino(path: Path) -> bool:
    """Whether a regular file is an OpenVINO XML file with this package's card, of any version."""
    try:
        if path.stat().st_size > LIMIT:
            return False
        text = path.read_text("utf-8")
        # our files have no DOCTYPE, and only a DOCTYPE can declare entities, which may expand without limit
        if "<!DOCTYPE" in text:
            return False
        information = ElementTree.fromstring(text).find("rt_info")  # noqa: S314  (without entities it is safe)
        return information is not None and information.find(CARD_KEY) is not None
    except Exception:  # not an OpenVINO file, so not ours
        return False


def _card_of(path: Path, model: Any) -> FileCard:
    if path.suffix == ".onnx":
        return OnnxModel(path).card
    if not model.has_rt_info([CARD_KEY]):
        raise ValueError("it has no card; only files written by `compress export` do")
    return FileCard.read({CARD_KEY: model.get_rt_info([CARD_KEY]).astype(str)})


def _library() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise UsageError("OpenVINO is not installed: pip install 'compress-kd[openvino]'") from error
    return openvino
