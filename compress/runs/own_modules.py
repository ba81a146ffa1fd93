"""A user's own modules and images, checked before they are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from compress.errors import UsageError
from compress.runs.answer_adapters import Picked, Place, adapt_answer, require_no_softmax
from compress.runs.held_out_forms import HeldOut, as_tensors
from compress.runs.models import require_logits
from compress.storage.untrusted import require_name
from compress.task import NOTHING_IGNORED
from compress.tasks import find_task
from compress.tasks.data import DataSource, LabelledImages
from compress.tasks.data.no_data import without_images
from compress.tasks.models import NormalisedModel


@dataclass(frozen=True, kw_only=True)
class OwnData:
    """The classes and image shape of a user's own modules, and labelled images to score them on."""

    class_names: Sequence[str]
    image_shape: tuple[int, int, int]
    held_out: HeldOut | None = None
    """Images and integer labels `[n, *s]`: see `as_tensors`."""
    mirror: bool = True
    """Whether a mirrored image keeps its label."""
    background: int | None = None
    palette: Sequence[tuple[int, int, int]] = ()


def own_source(task: str, data: OwnData) -> DataSource:
    """The data as a `DataSource`; raises `UsageError` for values that are invalid or contradict each other."""
    class_names, image_shape, background, palette = data.class_names, data.image_shape, data.background, data.palette
    try:
        names, shape = tuple(require_name(str(name)) for name in class_names), tuple(image_shape)
    except ValueError as error:
        raise UsageError(f"class_names cannot be used: {error}") from error
    if len(names) < 2 or len(set(names)) < len(names):
        raise UsageError(f"class_names has {len(names)} names, too few or some twice: name each class once")
    if len(shape) != 3 or shape[0] != 3 or min(shape) < 1:
        raise UsageError(f"image_shape is {shape}: give (3, height, width); images are RGB")
    if background is not None and not 0 <= background < len(names):
        raise UsageError(f"background is class {background}, but the classes are 0 to {len(names) - 1}")
    if palette and len(palette) != len(names):
        raise UsageError(f"palette has {len(palette)} colours for {len(names)} classes: give one for each, or none")
    source = replace(
        without_images(task, names, (3, shape[1], shape[2]), name="own"),
        mirror=data.mirror,
        background=background,
        palette=tuple(palette),
    )
    if data.held_out is None:
        return source
    images = _labelled(as_tensors(data.held_out), task, len(names), shape)
    return replace(source, held_out=lambda: images)


def _labelled(pair: tuple[Tensor, Tensor], task: str, classes: int, shape: tuple[int, ...]) -> LabelledImages:
    images, labels = pair
    if images.dtype != torch.uint8 or tuple(images.shape[1:]) != shape or not len(images):
        raise UsageError(
            f"held_out images are {images.dtype} {list(images.shape)}: give at least one, as uint8 [n, {_list(shape)}]"
        )
    positions = {"classification": (), "segmentation": shape[1:]}.get(task, tuple(labels.shape[1:]))
    expected = (len(images), *positions)
    if labels.is_floating_point() or tuple(labels.shape) != expected:
        raise UsageError(f"held_out labels are {labels.dtype} {list(labels.shape)}: give integers [{_list(expected)}]")
    wrong = (labels < 0) | (labels >= classes)
    ignored = find_task(task).ignore_index
    if ignored != NOTHING_IGNORED:
        wrong &= labels != ignored
    if wrong.any():
        raise UsageError(f"held_out labels have the value {int(labels[wrong][0])}: classes are 0 to {classes - 1}")
    return LabelledImages(images.cpu(), labels.cpu().long())


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


@torch.no_grad()
def usable(network: object, role: str, source: DataSource, output: Place | None = None) -> nn.Module:
    """Check a user's network and move it to the CPU; `output` selects a part of what it returns.

    `role` is `teacher`, `student` or `model`, for messages. Raises `UsageError` unless the network returns finite
    logits of the right shape for the data's images.
    """
    network = adapt_answer(network, role, output, source.image_shape)
    label = f"the {role} {class_of(network)}"
    other_dtype = next((p.dtype for p in network.parameters() if p.dtype != torch.float32), None)
    if other_dtype is not None:
        raise UsageError(f"{label} has weights of {other_dtype}: call .float() on it")
    if role == "student" and not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError(f"{label} has nothing to train: give a network with parameters that require gradients")
    require_logits(network.cpu(), label, source)
    noise = torch.rand(2, *source.image_shape, generator=torch.Generator().manual_seed(0))
    logits = network(noise)
    if len(logits) != len(noise) or not logits.is_floating_point():
        raise UsageError(
            f"{label} answers {len(noise)} images with {list(logits.shape)} of {logits.dtype}: a row of floating-point "
            "logits for each image is needed"
        )
    if not logits.isfinite().all():
        raise UsageError(f"{label} returns NaN or infinity for images in [0, 1]: check its weights")
    require_no_softmax(logits, label)
    return network


def class_of(network: nn.Module) -> str:
    """The name of the user's own class, without what was put around it here."""
    while isinstance(network, Picked | NormalisedModel):
        network = network.network
    return type(network).__name__


def require_apart(teacher: nn.Module, student: nn.Module) -> None:
    """Raise `UsageError` if the two share weights."""
    if {id(parameter) for parameter in teacher.parameters()} & {id(parameter) for parameter in student.parameters()}:
        raise UsageError("teacher and student share weights, which would train the teacher: give two networks")


def normalised(
    network: nn.Module, mean: Sequence[float] | None, std: Sequence[float] | None, task: str = "segmentation"
) -> nn.Module:
    """The network with normalisation as its first layer, or unchanged if neither `mean` nor `std` is given."""
    if mean is None and std is None:
        return network
    if mean is None or std is None or len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise UsageError(f"mean is {mean} and std {std}: give three numbers each, std above 0, or neither")
    model = NormalisedModel(network, mean, std)
    return without_stride(model) if task == "classification" else model


def without_stride(network: nn.Module) -> nn.Module:
    """A classifier without an output stride: only the label maps of segmenters need padding to a stride."""
    if isinstance(network, NormalisedModel):
        network.stride = 1
    return network
