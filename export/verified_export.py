"""Export and verification in one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from onnx import ModelProto
from torch import Tensor

from compress.errors import CompressError, UsageError
from compress.storage.files import whole_file
from compress.task import Deployable, TaskSpec

from .card import FileCard
from .parity import Shape, check_parity, check_shapes, shapes_to_check
from .parity_measures import Parity
from .part_parity import check_parts
from .precision import Converted, Source, no_images
from .precisions import find_precision
from .processing import Form, fix_batch, with_processing
from .quantisation import MOST_IMAGES
from .runtime import MOST_AT_ONCE, OnnxModel
from .saving import Saving, saving_of
from .targets import find_target, limits_by_target
from .writer import OPSET, exported, write_model

LIBRARIES = ("compress-kd", "torch", "onnx", "onnxscript", "onnxruntime-gpu", "timm", "segmentation-models-pytorch")


@dataclass(frozen=True, kw_only=True)
class Order:
    """The options of an export."""

    form: Form = field(default_factory=Form)
    precision: str = "fp32"
    """A name in `PRECISIONS`."""
    opset: int = OPSET
    dynamic_size: bool = True
    """Free height and width, if the network supports them."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """The network's origin, for the card."""
    target: str = "cpu"
    """A name in `TARGETS`: the runtime for the file."""
    fixed_batch: int | None = None
    """Fixed batch size; None for a free one."""
    least_saved: float = 0.0
    """Least share of bytes or time that another precision must save; 0 accepts any file."""

    def __post_init__(self) -> None:
        """Raises `UsageError` for a batch that no file has."""
        if self.fixed_batch is not None and not 1 <= self.fixed_batch <= MOST_AT_ONCE:
            raise UsageError(f"`fixed_batch` is {self.fixed_batch}: give 1 to {MOST_AT_ONCE} images")


@dataclass(frozen=True, kw_only=True)
class ExportFacts:
    """The facts about the written file."""

    path: Path
    card: FileCard
    reason: str
    """Why height and width are fixed; empty if they are free."""
    converted: Converted
    """The network in its precision."""
    saving: Saving | None = None
    """What its precision saves compared with float32; None in float32."""
    fixed_batch: int | None = None
    """Fixed batch size; None for a free one."""
    limits: Mapping[str, list[str]] = field(default_factory=dict)
    """By built-in target, the reasons why it does not support the file; empty if it does."""


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
    networks export without an error but are wrong at every size except the traced one, so the file is run to find out.
    A calibrated precision needs `calibration`, uint8 `[n, 3, h, w]`, real or synthetic. The file appears at `path` only
    after the comparison; if an error is raised, an older file stays. Raises `UsageError` for invalid options,
    `GateError` for a precision that changes too many decisions or saves too little, and `CompressError` for a network
    that torch cannot export.
    """
    order = order or Order()
    target = find_target(order.target)
    _require_card(_card(network, spec, order, dynamic=order.dynamic_size))
    exact, reason = _body(network, spec, order, images)
    converted, saving = _converted(exact, spec, order, calibration)
    dynamic = order.dynamic_size and not reason
    model = with_processing(converted.network, spec, order.form, dynamic_size=dynamic)
    if order.fixed_batch is not None:
        fix_batch(model, order.fixed_batch)
    _require_fit(order.target, target.limits(model))
    limits = limits_by_target(model)
    fits = tuple(name for name, reasons in limits.items() if not reasons)
    card = replace(_card(network, spec, order, dynamic), fits=fits)
    shown = _shown(images, calibration)
    with whole_file(path) as unfinished:
        write_model(model, card, unfinished)
        shapes = shapes_to_check(spec, dynamic_size=dynamic or order.form.input == "uint8")
        results = check_parity(network, OnnxModel(unfinished), shapes, shown)
        if converted.network is not exact:  # rounding could hide errors, so the float32 network is compared, too
            results.append(_before_rounding(network, spec, order, exact, shown))
    facts = ExportFacts(
        path=path,
        card=card,
        reason=reason or ("" if dynamic else "as requested"),
        converted=converted,
        saving=saving,
        fixed_batch=order.fixed_batch,
        limits=limits,
    )
    return facts, results


def _require_fit(target: str, reasons: Sequence[str]) -> None:
    """Raise `UsageError` if the target runtime does not support the file."""
    if reasons:
        raise UsageError(f"{target} does not take this file: {'; '.join(reasons)}; leave `target` out, or change it")


def _converted(
    exact: ModelProto, spec: TaskSpec, order: Order, calibration: Tensor | None
) -> tuple[Converted, Saving | None]:
    """The network in the precision of the order, and what that saves."""
    precision, target = find_precision(order.precision), find_target(order.target)
    shown = no_images(spec.image_shape)
    if calibration is not None:
        shown = calibration[:MOST_IMAGES].to(torch.float32).div(255).numpy()
    converted = precision.convert(Source(network=exact, images=shown, target=target, least_saved=order.least_saved))
    if converted.network is exact:
        return converted, None
    image = np.zeros((1, *spec.image_shape), dtype=np.float32)
    saving = saving_of(exact, converted.network, image, timed=target.timed_here)
    saving.require(order.least_saved, order.precision)
    return converted, saving


def _require_card(card: FileCard) -> None:
    """Raise `UsageError` unless a file with this card could be read again; called before anything is written."""
    try:
        FileCard.read(card.entries())
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the file's card would be invalid: {error}; correct the model's own card, or export it again from its run"
        ) from error


def _shown(images: Tensor | None, calibration: Tensor | None) -> Tensor | None:
    """The images for the comparison, float in [0, 1]: `images`, or else those for calibration."""
    return calibration.float() / 255 if images is None and calibration is not None else images


def _before_rounding(
    network: Deployable, spec: TaskSpec, order: Order, exact: ModelProto, images: Tensor | None
) -> Parity:
    """Compare the float32 network in a file, before its conversion to a smaller precision."""
    with _logits_file(network, spec, exact, dynamic=False) as model:
        return replace(check_parts(network, model, images)[0], part="network in float32")


@contextmanager
def _logits_file(network: Deployable, spec: TaskSpec, body: ModelProto, *, dynamic: bool) -> Iterator[OnnxModel]:
    """While entered, a temporary file that returns the logits of the exported network `body`."""
    form = Form(output="logits")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "logits.onnx"
        card = _card(network, spec, Order(form=form), dynamic)
        write_model(with_processing(body, spec, form, dynamic_size=dynamic), card, path)
        yield OnnxModel(path)


def _body(network: Deployable, spec: TaskSpec, order: Order, images: Tensor | None) -> tuple[ModelProto, str]:
    """The exported float32 network, and the reason if height and width are fixed although free ones were requested.

    If a network pads images to whole windows, tracing it at a size that needs no padding drops the padding, and the
    file is wrong at other sizes. It is then traced again at another size.
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
    with _logits_file(network, spec, body, dynamic=True) as model:
        results = check_shapes(network, model, shapes, images)
    return next((f"at {result}" for result in results if not result.passed), "")


def _card(network: Deployable, spec: TaskSpec, order: Order, dynamic: bool) -> FileCard:
    return FileCard.of(
        spec,
        dynamic_size=dynamic,
        stride=network.stride,
        input=order.form.input,
        output=order.form.output,
        precision=order.precision,
        notes=(note,) if (note := find_precision(order.precision).note) else (),
        origin=order.origin,
        versions={library: _version(library) for library in LIBRARIES},
    )


@cache
def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:  # a checkout that was never installed, or a library that is not installed
        return ""
