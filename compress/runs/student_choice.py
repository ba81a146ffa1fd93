"""Choose a student if none is named: about a quarter of the teacher's size, or the best within limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from compress.errors import CompressError, UsageError
from compress.export.latency import interleaved
from compress.export.writer import exported
from compress.runs.evaluation import parameter_count
from compress.settings import DistillSettings
from compress.student_settings import LIMITS
from compress.tasks import make_task
from compress.tasks.data import DataSource
from compress.tasks.models import create_model, deployable
from compress.teacher import Teacher
from compress.training.progress import Steps, console

PHOTOGRAPHS = (
    "mobilenetv3_small_050", "lcnet_050", "mobilenetv3_small_075", "mobilenetv2_050", "mobilenetv3_small_100",
    "lcnet_075", "lcnet_100", "mobilenetv2_100", "resnet18", "efficientnet_lite0", "mobilenetv3_large_100",
    "resnet26", "efficientnet_b0", "resnet34", "efficientnet_es", "resnet50",
)  # fmt: skip
"""Classifiers with ImageNet weights in timm, by their published top-1 accuracy, the best last."""
SMALL_IMAGES = (
    "cifar_wrn_16_1", "cifar_resnet20", "cifar_resnet32", "cifar_wrn_40_1", "cifar_resnet44", "cifar_wrn_16_2",
    "cifar_resnet56", "cifar_wrn_40_2", "cifar_resnet18", "cifar_resnet34",
)  # fmt: skip
"""Classifiers for images of up to `SMALL` pixels, the best last as they are published for CIFAR-10."""
SEGMENTERS = (
    "deeplabv3plus:tu-test_resnet:5x64", "deeplabv3plus:tu-mobilenetv3_small_050:5x64",
    "deeplabv3plus:tu-mobilenetv3_small_100:5x128", "deeplabv3plus:mobilenet_v2:5x128", "deeplabv3plus:mobilenet_v2",
    "deeplabv3plus:tu-resnet10t", "deeplabv3plus:resnet18", "deeplabv3plus:resnet34", "deeplabv3plus:resnet50",
)  # fmt: skip
"""One decoder on encoders with ImageNet weights, the larger the later."""
SMALL = 64
SHARE = 1 / 4
SECONDS = 0.2
"""Of timing for each network, with at least five rounds."""


@dataclass(frozen=True, kw_only=True)
class Student:
    """A network of the table, with as many outputs as the data has classes."""

    name: str
    parameters: int
    milliseconds: float | None = None
    """Time for one image in onnxruntime on this machine; None if it was not measured."""

    def __str__(self) -> str:
        timed = "" if self.milliseconds is None else f", {self.milliseconds:.1f} ms"
        return f"{self.name} ({self.parameters / 1e6:.2f} M{timed})"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The chosen student, the reason, and the nearest alternatives."""

    student: Student
    reason: str
    alternatives: tuple[Student, ...]


def limits(settings: DistillSettings) -> dict[str, float]:
    """The limits that are set, by the names of their settings."""
    every = {key: getattr(settings, key) for key in LIMITS}
    return {key: value for key, value in every.items() if value is not None}


def choose_student(teacher: Teacher, source: DataSource, settings: DistillSettings) -> str:
    """The name of the student that a teacher gets, for images of the data's size; a line says why, and which others.

    Raises `UsageError` if no network of the table is smaller than the teacher, or none keeps the limits.
    """
    outputs = teacher.classes or len(source.class_names)
    choice = _choice(
        parameter_count(_sketch(source, teacher.name, outputs, teacher.arguments)), outputs, source, settings
    )
    others = f"; others: {', '.join(map(str, choice.alternatives))}" if choice.alternatives else ""
    console.print(f"student: {choice.student}, {choice.reason} (--student){others}", soft_wrap=True)
    return choice.student.name


def _choice(size: int, outputs: int, source: DataSource, settings: DistillSettings) -> Choice:
    """The student for a teacher of so many parameters and outputs."""
    smaller = [one for one in _table(source, outputs) if one.parameters < size]
    if not smaller:
        raise UsageError(
            f"the teacher has {size / 1e6:.2f} M parameters, and no network that is known to be good has fewer: name "
            "a student with `student`"
        )
    if limits(settings):
        return _within(smaller, outputs, source, settings)
    ranked = sorted(smaller, key=lambda one: abs(np.log(one.parameters / (SHARE * size))))
    reason = f"{ranked[0].parameters / size:.2f} of the teacher's {size / 1e6:.2f} M parameters"
    return Choice(student=ranked[0], reason=reason, alternatives=tuple(ranked[1:4]))


def _table(source: DataSource, outputs: int) -> Iterator[Student]:
    """The networks for the task and the size of images, the best last, that can be made."""
    small = max(source.image_shape[1:]) <= SMALL
    names = SEGMENTERS if source.task == "segmentation" else SMALL_IMAGES if small else PHOTOGRAPHS
    for name in names:
        yield Student(name=name, parameters=parameter_count(_sketch(source, name, outputs)))


def _sketch(source: DataSource, name: str, outputs: int, arguments: Mapping[str, Any] | None = None) -> nn.Module:
    """A network without numbers, or with random ones where it cannot be made without."""
    size = source.image_shape[1:]
    try:
        with torch.device("meta"):
            return create_model(source.task, name, outputs, size, arguments=arguments or {})
    except UsageError:
        return create_model(source.task, name, outputs, size, arguments=arguments or {})


def _within(table: Sequence[Student], outputs: int, source: DataSource, settings: DistillSettings) -> Choice:
    """The best that keeps all limits; what is timed is written as ONNX, from the best on, until one is fast enough."""
    kept = [one for one in table if _is_small(one, settings)]
    named = " and ".join(f"`{key}` {value:g}" for key, value in limits(settings).items())
    timed: list[Student] = []
    if settings.max_ms is not None and kept:
        with Steps("timing students", len(kept)) as steps:
            for done, one in enumerate(reversed(kept), 1):
                timed.append(
                    Student(
                        name=one.name, parameters=one.parameters, milliseconds=_milliseconds(one.name, outputs, source)
                    )
                )
                steps.update(done, str(timed[-1]))
                if (timed[-1].milliseconds or 0.0) <= settings.max_ms:
                    break
        kept = [one for one in timed if (one.milliseconds or 0.0) <= settings.max_ms]
    if not kept:
        nearest = min(timed, key=lambda one: one.milliseconds or 0.0) if timed else table[0]
        raise UsageError(
            f"no network that is known to be good keeps {named}: the nearest is {nearest}; raise the limit"
        )
    others = [*reversed(kept[:-1]), *reversed(timed[:-1])] if timed else list(reversed(kept[:-1]))
    return Choice(student=kept[-1], reason=f"the best that keeps {named}", alternatives=tuple(others[:3]))


def _is_small(one: Student, settings: DistillSettings) -> bool:
    millions = one.parameters / 1e6
    return millions <= (settings.max_params or millions) and 4 * millions <= (settings.max_mb or 4 * millions)


def _milliseconds(name: str, outputs: int, source: DataSource) -> float:
    """The median time of one image in onnxruntime on the CPU of this machine."""
    model, spec = create_model(source.task, name, outputs, source.image_shape[1:]), make_task(source).spec
    try:
        graph = exported(deployable(model), spec, dynamic_size=False)
    except CompressError:
        return float("inf")  # what cannot be exported is no student
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).random((1, *spec.image_shape), dtype=np.float32)
    inputs = {session.get_inputs()[0].name: image}
    times = interleaved({name: lambda: session.run(None, inputs)}, SECONDS)
    return float(1000 * times[name].percentile(50))


def require_no_limits(settings: DistillSettings) -> None:
    """Raise `UsageError` if a student is named and limits are set, which choose another."""
    chosen = limits(settings)
    if settings.student is not None and chosen:
        raise UsageError(f"`student` names one, and `{next(iter(chosen))}` chooses one: pass one of them")
