"""A run of a teacher without data: classes, names and image size come from the teacher instead of a data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from compress.errors import UsageError, first_line
from compress.runs.class_names import default_class_names
from compress.runs.opening import CIFAR_SIDE
from compress.runs.reading import teacher_of
from compress.settings import DistillSettings
from compress.task import IMAGENET_MEAN, IMAGENET_STD
from compress.tasks import find_task
from compress.tasks.data import SOURCES, DataSource
from compress.tasks.data.mask_folder import class_list
from compress.tasks.data.no_data import without_images
from compress.tasks.data.public_classes import Colour
from compress.tasks.models import CIFAR_NETWORKS, STORED, create_model, model_names
from compress.tasks.models.model_folder import card_in
from compress.tasks.models.timm_hub import FOLDER, require_stored
from compress.teacher import Teacher
from compress.training.progress import console

TASKS = ("classification", "segmentation")
"""Tasks that can run without data, because classes and images are known from the network; others need data."""


@dataclass(frozen=True, kw_only=True)
class TeacherFacts:
    """A teacher, a data source without images, and the origins of its classes and image size, in words."""

    teacher: Teacher
    source: DataSource
    classes: str
    """The origin of the classes and their names."""
    size: str
    """The origin of the image size."""


def is_alone(settings: DistillSettings) -> bool:
    """Whether there is a trained teacher but no data: none is named, and the teacher's own data is not embedded."""
    if settings.data is not None or settings.data_root is not None or settings.task not in TASKS:
        return False
    weights = settings.teacher_weights or Path((settings.teacher or "").removeprefix(FOLDER))
    if settings.teacher_weights is None and not _has_weights(settings.teacher, settings.task):
        return False
    card = card_in(weights) if _exists(weights) else None
    listing = SOURCES.find(card.data) if card else None
    return listing is None or listing.on_disk


def _has_weights(teacher: str | None, task: str) -> bool:
    """Whether a name is a path of weights rather than the name of a network."""
    if teacher is None or teacher.startswith(STORED):
        return teacher is not None
    return _exists(teacher) and teacher.partition(":")[0].lower() not in model_names(task)


def _exists(place: str | Path) -> bool:
    try:
        return bool(str(place).strip()) and Path(place).exists()
    except (OSError, ValueError):  # the name is too long for a path or has characters that no path can have
        return False


def describe(settings: DistillSettings) -> TeacherFacts:
    """The teacher of a run without data, with classes and image size from the settings or from the teacher itself.

    Raises `UsageError` if one of them is missing, or if they contradict each other.
    """
    for setting in ("class_order", "crop_size")[: 2 if settings.task == "classification" else 1]:
        if getattr(settings, setting) is not None:
            raise UsageError(f"`{setting}` is for images on your disk: leave it out, or name `data`")
    name = settings.teacher or _named_by_card(settings) or find_task(settings.task).teacher
    teacher = teacher_of(settings.task, name, settings.teacher_weights, settings)
    if settings.teacher is None and _named_by_card(settings) is None:
        raise UsageError(f"{teacher.origin} does not name its network: name it with `teacher`")
    classes = _count(teacher, settings.task)
    names, palette, origin = _classes(settings, teacher, classes)
    side, size = _side(settings, teacher)
    crop = settings.crop_size or side
    source = without_images(settings.task, names, (3, crop, crop))
    source = replace(
        source, image_size=side, crop_size=settings.crop_size, framing=teacher.framing, palette=palette,
        threshold=settings.threshold,
    )  # fmt: skip
    return TeacherFacts(teacher=replace(teacher, classes=classes), source=source, classes=origin, size=size)


def _named_by_card(settings: DistillSettings) -> str | None:
    card = card_in(settings.teacher_weights) if settings.teacher_weights else None
    return card.network if card else None


def _count(teacher: Teacher, task: str) -> int:
    """The number of outputs of the last layer, 1 for a binary segmenter."""
    count = teacher.classes
    if count is None and teacher.name.startswith(STORED):
        count = _built_in(teacher.name)
    elif teacher.weights is None:
        create_model(task, teacher.name, 2)  # raises for an unknown name, with the nearest known one
    if count is None:
        raise UsageError(
            f"{teacher.origin} does not fit {teacher.name} with a last layer for classes: check the name; "
            "`match` order loads tensors by their order, `teacher_key` selects a part of the file"
        )
    if count < 2 and task == "classification":
        raise UsageError(
            f"{teacher.origin} has {count} output{'' if count == 1 else 's'}, and a classifier needs one for each of "
            "at least two classes: in Python, `compress.tasks.models.binary.OneLogit` makes two classes of one logit"
        )
    return count


def _built_in(name: str) -> int | None:
    """The number of classes of a timm folder or a hub model whose configuration does not have it."""
    import timm

    require_stored(name)
    try:
        classes = timm.create_model(name, pretrained=False).num_classes
    except Exception as error:  # timm raises many exception types
        raise UsageError(f"timm cannot build {name!r}: {first_line(error)}") from error
    return classes if isinstance(classes, int) else None


def _classes(
    settings: DistillSettings, teacher: Teacher, outputs: int
) -> tuple[tuple[str, ...], tuple[Colour, ...], str]:
    """Names and colours of the classes, and the origin of the names."""
    count = 2 if outputs == 1 else outputs
    palette: tuple[Colour, ...] = ()
    if settings.class_names and settings.task == "segmentation":
        listed = class_list((), settings.class_names)
        names, palette, origin = listed.names, listed.colours, settings.class_names
    elif settings.class_names:
        names, origin = teacher.class_names or (), settings.class_names
    elif teacher.class_names:
        names, origin = teacher.class_names, "the model's own names"
    else:
        names, origin = default_class_names(settings.task, outputs, settings.teacher_weights)
    if len(names) != count:
        raise UsageError(
            f"{origin} has {len(names)} class names and {teacher.origin} {count} classes: give one for each"
        )
    return names, palette, origin


def _side(settings: DistillSettings, teacher: Teacher) -> tuple[int, str]:
    """The side of square images in pixels, and its origin."""
    if settings.image_size or settings.crop_size:
        return settings.image_size or settings.crop_size or 0, "as set"
    if teacher.image_size:
        card = card_in(settings.teacher_weights) if settings.teacher_weights else None
        return teacher.image_size, "the model's card" if card else "timm's configuration of it"
    if teacher.name in CIFAR_NETWORKS:
        return CIFAR_SIDE, "the size of CIFAR images"
    raise UsageError(f"the image size that {teacher.name} was trained on is not known: give it with `image_size`")


def print_facts(facts: TeacherFacts, source: DataSource, settings: DistillSettings) -> None:
    """Print two lines on stderr: teacher, classes and preprocessing, their origins, and the flags that change them."""
    names, teacher, side = source.class_names, facts.teacher, source.image_shape[1]
    weights = f" with {settings.teacher_weights} (--teacher-weights)" if settings.teacher_weights else ""
    console.print(
        f"teacher: {teacher.name} (--teacher){weights}; {len(names):,} classes, {names[0]} to {names[-1]}: "
        f"{facts.classes} (--class-names)",
        soft_wrap=True,
    )
    mean, std = (
        ",".join(f"{value:.4g}" for value in numbers)
        for numbers in (teacher.mean or IMAGENET_MEAN, teacher.std or IMAGENET_STD)
    )
    prepared, flags = f"mean {mean}, std {std}", "--image-size, --mean, --std"
    if source.task == "segmentation":
        flags += ", --crop-size"
    else:
        framing = teacher.framing
        prepared += f", {framing.crop_mode} crop of {framing.crop_pct:.4g}, {framing.interpolation}"
        flags += ", --crop-mode, --crop-pct, --interpolation"
    console.print(f"images: {side}x{side}: {facts.size}; {prepared} ({flags})", soft_wrap=True)
