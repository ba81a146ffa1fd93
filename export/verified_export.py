"""Export and verification in one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from onnx import ModelProto
from torch import Tensor

from compress.errors import CompressError, UsageError
from compress.storage.files import whole_file
from compress.task import Deployable, TaskSpec

from .card import FileCard
from .fp16 import to_fp16
from .parity import Shape, check_parity, check_shapes, shapes_to_check
from .parity_measures import Parity
from .part_parity import check_parts
from .processing import Form, with_processing
from .quantisation import Quantised, quantised
from .runtime import OnnxModel
from .writer import OPSET, exported, write_model

LIBRARIES = ("compress-kd", "torch", "onnx", "onnxscript", "onnxruntime-gpu", "timm", "segmentation-models-pytorch")
CALIBRATED_ON, CHECKED_ON = 256, 256
"""Images at most, of those given for INT8: the first, and those after them."""


@dataclass(frozen=True)
class Order:
    """The options of the file."""

    form: Form = field(default_factory=Form)
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    opset: int = OPSET
    dynamic_size: bool = True
    """Free height and width, where the network can."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """What the card says of where the network comes from."""


@dataclass(frozen=True)
class ExportFacts:
    """The facts of the written file."""

    path: Path
    card: FileCard
    reason: str
    """Why height and width are fixed; empty if they are free."""
    int8: Quantised | None = None


def export_verified(
    network: Deployable,
    spec: TaskSpec,
    path: Path,
    order: Order | None = None,
    *,
    images: Tensor | None = None,
    calibration: Tensor | None = None,
) -> tuple[ExportFacts, list[Parity]]:
    """Write the ONNX file and compare it with the network on `images [n, 3, h, w]` in [0, 1], or on noise.

    Height and width are free if the network takes other sizes and the file's outputs for them are correct. Some
    networks export without an error and are wrong at every size except the traced one, which only running the file can
    show. INT8 needs `calibration`, uint8 `[n, 3, h, w]`, real or synthetic. The file takes its name when it has been
    compared: what raises leaves none, and what stood there before. Raises `UsageError` for an order that cannot be met
    and `CompressError` for a network that torch cannot export.
    """
    order = order or Order()
    _require_card(_card(network, spec, order, dynamic=order.dynamic_size))
    exact, reason = _body(network, spec, order, images)
    body, int8 = exact, None
    if order.precision == "fp16":
        body = to_fp16(exact)
    elif order.precision == "int8":
        int8 = _in_int8(exact, calibration)
        body = int8.model
    dynamic = order.dynamic_size and not reason
    card = _card(network, spec, order, dynamic)
    shown = _shown(images, calibration)
    shapes = shapes_to_check(spec, dynamic_size=dynamic or order.form.input == "uint8")
    with whole_file(path) as unfinished:
        write_model(with_processing(body, spec, order.form, dynamic_size=dynamic), card, unfinished)
        results = check_parity(network, OnnxModel(unfinished), shapes, shown)
        if body is not exact:  # what is lost by rounding may hide what is wrong: that is looked for before it
            results.append(_before_rounding(network, spec, order, exact, shown))
    return ExportFacts(path, card, reason or ("" if dynamic else "as asked"), int8), results


def _require_card(card: FileCard) -> None:
    """Raise `UsageError` unless a file with this card can be read again, before anything is written."""
    try:
        FileCard.read(card.entries())
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the file could not say what it is: {error}; mend the model's own card, or export it again from its run"
        ) from error


def _shown(images: Tensor | None, calibration: Tensor | None) -> Tensor | None:
    """What the file is compared on: float images in [0, 1], or else those that it was calibrated on."""
    return calibration.float() / 255 if images is None and calibration is not None else images


def _before_rounding(
    network: Deployable, spec: TaskSpec, order: Order, exact: ModelProto, images: Tensor | None
) -> Parity:
    """The network in a file in float32, which a smaller one is made from."""
    form = Form(output="logits")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "exact.onnx"
        write_model(
            with_processing(exact, spec, form, dynamic_size=False), _card(network, spec, Order(form), False), path
        )
        return replace(check_parts(network, OnnxModel(path), images)[0], part="network in float32")


def _body(network: Deployable, spec: TaskSpec, order: Order, images: Tensor | None) -> tuple[ModelProto, str]:
    """The exported network in float32 and, if its height and width are not free though they were to be, why.

    One that pads images to whole windows is traced without its padding where the size needs none, and the file is wrong
    at sizes that need some: it is traced again at another size.
    """
    if not order.dynamic_size:
        return exported(network, spec, opset=order.opset, dynamic_size=False), ""
    traced, *_, other, odd = shapes_to_check(spec, dynamic_size=True)
    reason = ""
    try:
        for (_, channels, height, width), elsewhere in ((traced, (other, odd)), (other, (traced, odd))):
            body = exported(network, replace(spec, image_shape=(channels, height, width)), opset=order.opset)
            wrong = _wrong_at(elsewhere, network, spec, body, images)
            if not wrong:
                return body, ""
            reason = reason or wrong
    except UsageError:
        raise
    except CompressError as error:
        reason = reason or str(error)
    return exported(network, spec, opset=order.opset, dynamic_size=False), reason


def _wrong_at(
    shapes: Sequence[Shape], network: Deployable, spec: TaskSpec, body: ModelProto, images: Tensor | None
) -> str:
    """The first of the shapes at which file and network differ; empty if there is none."""
    form = Form(output="logits")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "probe.onnx"
        card = _card(network, spec, Order(form), dynamic=True)
        write_model(with_processing(body, spec, form, dynamic_size=True), card, path)
        results = check_shapes(network, OnnxModel(path), shapes, images)
    return next((f"at {result}" for result in results if not result.passed), "")


def _in_int8(body: ModelProto, calibration: Tensor | None) -> Quantised:
    if calibration is None or len(calibration) < 2:
        raise UsageError("INT8 needs calibration images: export a run, which has synthetic samples, or give some")
    count = min(CALIBRATED_ON, len(calibration) // 2)
    chosen = calibration[: count + CHECKED_ON].to(torch.float32).div(255).numpy()
    return quantised(body, chosen[:count], chosen[count:])


def _card(network: Deployable, spec: TaskSpec, order: Order, dynamic: bool) -> FileCard:
    return FileCard.of(
        spec,
        dynamic_size=dynamic,
        stride=network.stride,
        input=order.form.input,
        output=order.form.output,
        precision=order.precision,
        origin=order.origin,
        versions={library: _version(library) for library in LIBRARIES},
    )


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:  # a bare checkout that was never installed, or a library that this system lacks
        return ""
