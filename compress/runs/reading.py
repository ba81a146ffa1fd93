"""Read a teacher or a saved model, and open data for it: image size, crop, and the order of its classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from compress.data_settings import FileSettings, HeldOutSettings, ModelSettings, ReadingSettings
from compress.errors import UsageError
from compress.framing import Framing, border_of
from compress.settings import DistillSettings, TeachSettings
from compress.tasks.data import SOURCES, DataSource, Place, open_settings
from compress.tasks.data.class_names import WORDNET_ID, imagenet_names, read_class_names, require_fitting
from compress.tasks.models import STORED, NormalisedModel, task_of
from compress.tasks.models.constructor_arguments import parsed
from compress.tasks.models.grey_input import grey_level, takes_grey
from compress.tasks.models.teacher_folders import read_place
from compress.tasks.models.teachers import read_teacher
from compress.teacher import Teacher, WeightChoice


def teacher_of(task: str, name: str, weights: Path | None, settings: ReadingSettings | ModelSettings) -> Teacher:
    """The teacher by name and weights; settings replace its own preprocessing and class names."""
    return _with_settings(read_teacher(task, name, weights, _choice(settings)), settings)


def teacher_at(
    place: Path, name: str | None, settings: ReadingSettings | ModelSettings, task: str | None = None
) -> Teacher:
    """The teacher whose weights are at `place`; `name` is its network's name, needed if the place does not name it.

    Raises `UsageError` for weights that cannot be read, and if the network's name is missing.
    """
    if name is not None:
        return teacher_of(task or task_of(name), name, place, settings)
    if str(place).startswith(STORED):
        return teacher_of("classification", str(place), None, settings)
    return _with_settings(read_place(place, _choice(settings)), settings)


def _choice(settings: ReadingSettings | ModelSettings) -> WeightChoice:
    if not isinstance(settings, FileSettings):
        return WeightChoice()
    return WeightChoice(key=settings.teacher_key, match=settings.match, arguments=parsed(settings.teacher_args))


def _with_settings(teacher: Teacher, settings: ReadingSettings | ModelSettings) -> Teacher:
    own = teacher.framing
    framing = Framing(
        crop_mode=settings.crop_mode or own.crop_mode,
        crop_pct=settings.crop_pct or own.crop_pct,
        interpolation=settings.interpolation or own.interpolation,
        fill=border_of(settings.mean) if settings.mean else own.fill,
    )
    names = teacher.class_names
    if settings.class_names and (teacher.task == "classification" or isinstance(settings, ModelSettings)):
        names = read_class_names(Path(settings.class_names))
    classes = 2 if teacher.classes == 1 else teacher.classes
    if names and classes and len(names) != classes:
        origin = f"`class_names` {settings.class_names}" if settings.class_names else "its own list"
        raise UsageError(
            f"{origin} has {len(names)} names and {teacher.origin} has {classes} classes: give one for each with "
            "`class_names`"
        )
    mean, std = settings.mean or teacher.mean, settings.std or teacher.std
    return replace(teacher, mean=mean, std=std, framing=framing, class_names=names)


def open_for(teacher: Teacher, settings: HeldOutSettings | DistillSettings | TeachSettings, task: str) -> DataSource:
    """The data set with images prepared as for the teacher's training, and classes in the order of its outputs.

    Raises `UsageError` for classes that the teacher does not have, and if their order cannot be determined.
    """
    defaults = Place(
        image_size=teacher.image_size,
        framing=teacher.framing,
        class_order=settings.class_order,
        follow_links=settings.follow_links,
    )
    if task == "classification":  # there, `class_names` names the teacher's classes, not the folder's
        settings = settings.model_copy(update={"class_names": None})
    source = open_settings(settings, task, usual=defaults)
    return _numbered(source, teacher) if task == "classification" else source


def with_preparation(model: NormalisedModel, teacher: Teacher) -> NormalisedModel:
    """The model with the teacher's mean and deviation, where these are known."""
    own = (tuple(numbers.flatten().tolist()) for numbers in (model.mean, model.std))
    mean, std = (numbers or default for numbers, default in zip((teacher.mean, teacher.std), own, strict=True))
    if takes_grey(model.network):
        mean, std = grey_level(mean), grey_level(std)
    return NormalisedModel(model.network, mean, std)


def require_classes(source: DataSource, names: tuple[str, ...], origin: str) -> DataSource:
    """The data with its classes in the model's order; raises `UsageError` for classes that the model lacks."""
    if source.task != "classification" and names != source.class_names:
        raise UsageError(
            f"{origin} has {len(names)} classes ({', '.join(names[:3])}, ...) and {source.name} has "
            f"{len(source.class_names)} ({', '.join(source.class_names[:3])}, ...): choose the `data` it was made for"
        )
    return require_fitting(source, names, origin)


def _numbered(source: DataSource, teacher: Teacher) -> DataSource:
    names, classes = teacher.class_names, teacher.classes
    if names is None and classes and all(map(WORDNET_ID.fullmatch, source.class_names)):
        names = imagenet_names(classes) or None  # the order of ImageNet's classes is public
    if names is not None and not (teacher.weights is None and _has_published_order(source, names)):
        return require_classes(source, names, teacher.origin)
    if classes and classes != len(source.class_names):
        raise UsageError(
            f"{teacher.origin} has {classes} classes and {source.name} {len(source.class_names)}: "
            "choose the `data` it was trained for, or give its class names in order with `class_names`"
        )
    return source


def _has_published_order(source: DataSource, names: tuple[str, ...]) -> bool:
    """Whether the data has as many classes in a published order, under other names than the network's."""
    listing = SOURCES.find(source.name)
    folders = listing is not None and listing.resizes
    return not folders and len(names) == len(source.class_names) and set(names) != set(source.class_names)
