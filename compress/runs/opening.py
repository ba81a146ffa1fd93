"""A model opened without data, from whatever its user has: what `predict`, `export` and `benchmark` begin with."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from pathlib import Path

from compress.data_settings import ModelSettings
from compress.errors import UsageError
from compress.runs.class_names import NUMBERED, unsaid_names
from compress.runs.models import card_of, network_of
from compress.runs.reading import teacher_at
from compress.tasks.data import DataSource
from compress.tasks.data.no_data import without_images
from compress.tasks.models import CIFAR_NETWORKS, NormalisedModel
from compress.tasks.models.binary import USUAL_THRESHOLD, move_threshold
from compress.tasks.models.config_json import CONFIG
from compress.tasks.models.model_folder import Card, card_in, load_model, own_weights
from compress.tasks.models.sketches import sketch
from compress.tasks.models.weights import fitting
from compress.teacher import Teacher
from compress.training.progress import console

CIFAR_SIDE, ANY_SIDE = 32, 256
"""Of images of networks for CIFAR, and of those that are taken to try a segmenter of images of any size, pixels."""
UNNAMED = "opened"
"""Of the data of a model that says none."""


def is_own(place: Path) -> bool:
    """Whether this package wrote the model there, so that its card says everything."""
    file = own_weights(place)
    return file is not None and (file.parent.name == "student" or card_in(file) is not None)


def open_model(
    place: Path, settings: ModelSettings | None = None, *, any_size: bool = False
) -> tuple[NormalisedModel, Card]:
    """A model in evaluation mode and its card: of a run, of a folder of this package, of timm or of SMP, or of a file.

    `settings` say what the place does not. With `any_size`, segmenters need no image size. Raises `UsageError` for what
    cannot be opened, and where nothing tells the network, its classes or the size of its images.
    """
    settings = settings or ModelSettings()
    if settings.teacher is None and is_own(place):
        return _own_model(place, settings)
    teacher = teacher_at(place, settings.teacher, settings)
    source = _source_of(teacher, place, settings, any_size=any_size)
    network = network_of(teacher, source, seed=0)
    return network, card_of(teacher.name, source, network)


def require_nothing_said(place: Path, settings: ModelSettings, taken: Set[str] = frozenset({"image_size"})) -> None:
    """Raise `UsageError` for settings beside those that are `taken`: the model there says all that itself."""
    said = sorted(settings.model_dump(exclude_defaults=True).keys() - taken)
    if said:
        raise UsageError(f"{place} says itself how it is read: leave out {', '.join(f'`{key}`' for key in said)}")


def untold(place: Path, settings: ModelSettings | None) -> ModelSettings:
    """Of settings for several models, what the one there does not say itself."""
    settings = settings or ModelSettings()
    if is_own(place):
        return ModelSettings(image_size=settings.image_size, threshold=settings.threshold)
    return settings.model_copy(update={"teacher": None}) if (place / CONFIG).is_file() else settings


def _own_model(place: Path, settings: ModelSettings) -> tuple[NormalisedModel, Card]:
    require_nothing_said(place, settings, {"image_size", "threshold"})
    network, card = load_model(place)
    if settings.threshold is not None:
        move_threshold(network, settings.threshold)
    return network, card


def _source_of(teacher: Teacher, place: Path, settings: ModelSettings, *, any_size: bool) -> DataSource:
    """What a teacher says of its task, as data without an image.

    Raises `UsageError` where nothing tells how many classes there are, or of which size images are.
    """
    names = teacher.class_names or _names(teacher, place)
    side = settings.image_size or teacher.image_size or (CIFAR_SIDE if teacher.name in CIFAR_NETWORKS else None)
    if side is None and not (any_size and teacher.task == "segmentation"):
        raise UsageError(f"nothing tells of which size the images of {teacher.origin} are: say it by `image_size`")
    shape = side or ANY_SIDE
    binary = teacher.task == "segmentation" and teacher.classes == 1
    threshold = (settings.threshold or teacher.threshold or USUAL_THRESHOLD) if binary else None
    if settings.threshold is not None and not binary:
        raise UsageError("`threshold` is for binary segmenters of one logit: this model has a logit for every class")
    source = without_images(teacher.task, names, (3, shape, shape), name=UNNAMED)
    return replace(source, image_size=side, framing=teacher.framing, threshold=threshold)


def _names(teacher: Teacher, place: Path) -> tuple[str, ...]:
    """Of classes that neither the card nor the settings name."""
    count = teacher.classes
    if count is None:
        network = sketch(teacher.task, teacher.name, teacher.arguments)
        fitting(network, teacher.weights or {}, teacher.origin, teacher.choice)  # says what does not fit
        raise UsageError(f"nothing tells how many classes {teacher.origin} has: choose another file or name")
    if count == 1 and teacher.task == "classification":
        raise UsageError(f"{teacher.origin} has one class: a classifier of at least two is needed")
    names, whence = unsaid_names(teacher.task, count, place)
    if whence == NUMBERED:
        console.print(f"{teacher.origin}: its {count} classes are numbered, `class_names` names them", soft_wrap=True)
    return names
