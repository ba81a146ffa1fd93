"""The Python API: the job of `compress distill` for a teacher and a student that are modules of your own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compress.errors import UsageError
from compress.methods import find_method
from compress.runs.distill import carry_out, ingredients, run_folder
from compress.runs.events import require_tensorboard
from compress.runs.handover import hand_over
from compress.runs.models import read_collected_images, require_logits
from compress.runs.resolution import completed
from compress.settings import DistillSettings
from compress.storage.lock import exclusive
from compress.storage.settings_files import merged
from compress.storage.untrusted import require_name
from compress.task import IGNORE_INDEX
from compress.tasks.data import DataSource, LabelledImages
from compress.tasks.models import NormalisedModel
from compress.training.compute import Compute
from compress.training.parallel import Workers

BY_NAME = {"teacher", "teacher_weights", "student", "data", "data_root", "image_size", "crop_size"}
"""Settings that say what `distill` is given as arguments."""


@dataclass(frozen=True)
class Distilled:
    """What `distill` hands over."""

    student: nn.Module
    """Trained, on the CPU, in evaluation mode; float images `[n, 3, h, w]` in [0, 1] in, logits `[n, k, *s]` out."""
    folder: Path
    """The run directory."""
    onnx: Path
    """The verified file."""
    report: dict[str, Any]
    """What report.json holds: scores, sizes, parity."""


def distill(
    teacher: nn.Module,
    student: nn.Module,
    *,
    class_names: Sequence[str],
    image_shape: tuple[int, int, int],
    settings: DistillSettings | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    held_out: tuple[Tensor, Tensor] | None = None,
    mirror: bool = True,
    background: int | None = None,
    palette: Sequence[tuple[int, int, int]] = (),
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
) -> Distilled:
    """Distil `student` from `teacher` without data, score it, export it to ONNX and verify the file.

    Both modules map float images `[n, 3, h, w]` to logits: `[n, k]`, or `[n, k, h, w]` with
    `settings=DistillSettings(task="segmentation")`. They get images less `mean` over `std` (three numbers each, for
    RGB in [0, 1]), or images in [0, 1] as they are where both are left out. The modules are used, not copied: the
    teacher is frozen, the student trained in place; both end on the CPU.

    `held_out` are real images, uint8 `[n, 3, h, w]`, and labels, integers `[n, *s]` (255 in a map is not counted), for
    scores only. Without them nothing tells whether teacher or student is any good: the report holds the share of new
    synthetic samples on which the two agree. `mirror` says whether a mirror image keeps its label; `background` and
    `palette` (RGB colours by class) are for label maps. The run goes to `out`, or to `runs/own-METHOD-N`. A class of
    your own has no name to be made again from: `OUT/student` holds its weights for `load_state_dict`. With
    `tensorboard` the run's numbers and pictures are in `OUT/tensorboard` too.

    Raises `UsageError` for modules, data or settings that do not fit, and `GateError` if the ONNX file differs.
    """
    if tensorboard:
        require_tensorboard()
    chosen = _without_names(settings or DistillSettings())
    names = {"teacher": _name(teacher), "student": _name(student), "data": "own" if held_out else None}
    wanted = completed(merged(chosen, names), {})
    if find_method(wanted.method).shares_classifier:
        raise UsageError(f"{wanted.method} takes networks by name apart and together again: use --method ssd-kd here")
    source = _own_data(wanted, class_names, image_shape, held_out, mirror, background, palette)
    compute = Compute.choose(wanted.device, wanted.precision)
    networks = [_usable(network, role, source) for network, role in ((teacher, "teacher"), (student, "student"))]
    _require_apart(teacher, student)
    big, small = (_normalised(network, mean, std) for network in networks)
    folder = run_folder(source, wanted, Path(out) if out else None, resume=resume, overwrite=overwrite)
    given = ingredients(big, small, wanted, source, compute, Workers(), read_collected_images(wanted, source))
    with exclusive(folder):
        report = hand_over(carry_out(given, folder, resume=resume, tensorboard=tensorboard), source, None)
    return Distilled(small, folder, folder / "export" / "model.onnx", report)


def _without_names(settings: DistillSettings) -> dict[str, Any]:
    given = settings.model_dump(exclude_unset=True)
    named = sorted(given.keys() & BY_NAME)
    if named:
        raise UsageError(f"settings hold {', '.join(named)}, which are for models and data by name: leave them out")
    return given


def _name(network: object) -> str:
    return type(network).__name__


def _own_data(
    wanted: DistillSettings,
    class_names: Sequence[str],
    image_shape: tuple[int, int, int],
    held_out: tuple[Tensor, Tensor] | None,
    mirror: bool,
    background: int | None,
    palette: Sequence[tuple[int, int, int]],
) -> DataSource:
    try:
        names, shape = tuple(require_name(str(name)) for name in class_names), tuple(image_shape)
    except ValueError as error:
        raise UsageError(f"class_names cannot be used: {error}") from error
    if len(names) < 2 or len(set(names)) < len(names):
        raise UsageError(f"class_names holds {len(names)} names, some of them twice or too few: name each class once")
    if len(shape) != 3 or shape[0] != 3 or min(shape) < 1:
        raise UsageError(f"image_shape is {shape}: give (3, height, width); images are RGB")
    if background is not None and not 0 <= background < len(names):
        raise UsageError(f"background is class {background}, but the classes are 0 to {len(names) - 1}")
    if palette and len(palette) != len(names):
        raise UsageError(f"palette holds {len(palette)} colours for {len(names)} classes: give one for each, or none")
    images = LabelledImages(torch.empty(0, *shape, dtype=torch.uint8), torch.empty(0, dtype=torch.long))
    if held_out is not None:
        images = _labelled(held_out, wanted.task, len(names), shape)
    return DataSource(
        name="own",
        task=wanted.task,
        class_names=names,
        image_shape=(3, shape[1], shape[2]),
        image_size=min(shape[1:]),
        training=_no_training_data,
        held_out=lambda: images,
        mirror=mirror,
        background=background,
        palette=tuple(palette),
    )


def _no_training_data() -> LabelledImages:
    raise UsageError("there is no training data: distillation needs none")


def _labelled(pair: tuple[Tensor, Tensor], task: str, classes: int, shape: tuple[int, ...]) -> LabelledImages:
    images, labels = pair
    if images.dtype != torch.uint8 or tuple(images.shape[1:]) != shape or not len(images):
        raise UsageError(
            f"held_out images are {images.dtype} {list(images.shape)}: give at least one, as uint8 [n, {_list(shape)}]"
        )
    wanted = (len(images), *(shape[1:] if task == "segmentation" else ()))
    if labels.is_floating_point() or tuple(labels.shape) != wanted:
        raise UsageError(f"held_out labels are {labels.dtype} {list(labels.shape)}: give integers [{_list(wanted)}]")
    wrong = (labels < 0) | (labels >= classes)
    if task == "segmentation":
        wrong &= labels != IGNORE_INDEX
    if wrong.any():
        raise UsageError(f"held_out labels hold {int(labels[wrong][0])}: classes are 0 to {classes - 1}")
    return LabelledImages(images.cpu(), labels.cpu().long())


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


@torch.no_grad()
def _usable(network: nn.Module, role: str, source: DataSource) -> nn.Module:
    if not isinstance(network, nn.Module):
        raise UsageError(f"the {role} is a {_name(network)}: give a torch.nn.Module")
    label = f"the {role} {_name(network)}"
    other = next((p.dtype for p in network.parameters() if p.dtype != torch.float32), None)
    if other is not None:
        raise UsageError(f"{label} has weights of {other}: call .float() on it")
    if role == "student" and not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError(f"{label} has nothing to train: give a network with parameters that require gradients")
    require_logits(network.cpu(), label, source)
    noise = torch.rand(2, *source.image_shape, generator=torch.Generator().manual_seed(0))
    if not network(noise).isfinite().all():
        raise UsageError(f"{label} answers with NaN or infinity on images in [0, 1]: check its weights")
    return network


def _require_apart(teacher: nn.Module, student: nn.Module) -> None:
    if {id(parameter) for parameter in teacher.parameters()} & {id(parameter) for parameter in student.parameters()}:
        raise UsageError("teacher and student share weights, which would train the teacher: give two networks")


def _normalised(network: nn.Module, mean: Sequence[float] | None, std: Sequence[float] | None) -> nn.Module:
    if mean is None and std is None:
        return network
    if mean is None or std is None or len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise UsageError(f"mean is {mean} and std {std}: give three numbers each, std above 0, or neither")
    return NormalisedModel(network, mean, std)
