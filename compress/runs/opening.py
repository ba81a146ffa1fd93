"""Open a model without data from a run, a folder or a file, for `predict`, `export` and `benchmark`."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from pathlib import Path

from compress.data_settings import ModelSettings
from compress.errors import UsageError
from compress.runs.class_names import NUMBERED, default_class_names
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
"""Sides in pixels: of images for CIFAR-size networks, and of the trial image for segmenters of any image size."""
UNNAMED = "opened"
"""Name of the data of a model that names none."""


def is_own(place: Path) -> bool:
    """Whether this package wrote the model at `place`, so that its card has all facts."""
    file = own_weights(place)
    return file is not None and (file.parent.name == "student" or card_in(file) is not None)


def open_model(
    place: Path, settings: ModelSettings | None = None, *, any_size: bool = False
) -> tuple[NormalisedModel, Card]:
    """A model in evaluation mode and its card, from a run, a folder of this package, timm or SMP, or a file.

    `settings` supply facts that are not stored with the model. With `any_size`, segmenters need no image size. Raises
    `UsageError` for a model that cannot be opened, and if network, classes or image size are missing.
    """
    settings = settings or ModelSettings()
    if settings.teacher is None and is_own(place):
        return _own_model(place, settings)
    teacher = teacher_at(place, settings.teacher, settings)
    source = _source_of(teacher, place, settings, any_size=any_size)
    network = network_of(teacher, source, seed=0)
    return network, card_of(teacher.name, source, network)


def require_no_settings(place: Path, settings: ModelSettings, allowed: Set[str] = frozenset({"image_size"})) -> None:
    """Raise `UsageError` for settings other than the `allowed` ones: the model's own card has those facts."""
    superfluous = sorted(settings.model_dump(exclude_defaults=True).keys() - allowed)
    if superfluous:
        listed = ", ".join(f"`{key}`" for key in superfluous)
        raise UsageError(f"{place} has a card that says how it is read: leave out {listed}")


def settings_for(place: Path, settings: ModelSettings | None) -> ModelSettings:
    """The part of settings for several models that applies to the one at `place`: facts not stored with it."""
    settings = settings or ModelSettings()
    if is_own(place):
        return ModelSettings(image_size=settings.image_size, threshold=settings.threshold)
    return settings.model_copy(update={"teacher": None}) if (place / CONFIG).is_file() else settings


def _own_model(place: Path, settings: ModelSettings) -> tuple[NormalisedModel, Card]:
    require_no_settings(place, settings, {"image_size", "threshold"})
    network, card = load_model(place)
    if settings.threshold is not None:
        move_threshold(network, settings.threshold)
    return network, card


def _source_of(teacher: Teacher, place: Path, settings: ModelSettings, *, any_size: bool) -> DataSource:
    """The teacher's classes and image size as a data source without images.

    Raises `UsageError` if the number of classes or the image size is missing.
    """
    names = teacher.class_names or _names(teacher, place)
    side = settings.image_size or teacher.image_size or (CIFAR_SIDE if teacher.name in CIFAR_NETWORKS else None)
    if side is None and not (any_size and teacher.task == "segmentation"):
        raise UsageError(f"the image size of {teacher.origin} is not known: give it with `image_size`")
    shape = side or ANY_SIDE
    binary = teacher.task == "segmentation" and teacher.classes == 1
    threshold = (settings.threshold or teacher.threshold or USUAL_THRESHOLD) if binary else None
    if settings.threshold is not None and not binary:
        raise UsageError("`threshold` is for binary segmenters of one logit: this model has a logit for every class")
    source = without_images(teacher.task, names, (3, shape, shape), name=UNNAMED)
    return replace(source, image_size=side, framing=teacher.framing, threshold=threshold)


def _names(teacher: Teacher, place: Path) -> tuple[str, ...]:
    """Class names where neither a card nor the settings have any."""
    count = teacher.classes
    if count is None:
        network = sketch(teacher.task, teacher.name, teacher.arguments)
        fitting(network, teacher.weights or {}, teacher.origin, teacher.choice)  # raises with the names that differ
        raise UsageError(f"the number of classes of {teacher.origin} is not known: choose another file or name")
    if count == 1 and teacher.task == "classification":
        raise UsageError(f"{teacher.origin} has one class: a classifier of at least two is needed")
    names, origin = default_class_names(teacher.task, count, place)
    if origin == NUMBERED:
        console.print(f"{teacher.origin}: its {count} classes are numbered, `class_names` names them", soft_wrap=True)
    return names
