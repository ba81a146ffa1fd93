"""Teachers by where they lie: a run, a folder or a file that says itself what network its weights are for."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from compress.errors import UsageError
from compress.teacher import Teacher, WeightChoice

from .cifar import CIFAR_NETWORKS
from .config_json import CONFIG, described_model
from .constructor_arguments import checked, require_one_class
from .model_folder import Card, card_in, own_weights
from .sketches import require_weights_for, sketch
from .smp_segmenters import segmenter_parts, smp_names
from .timm_hub import FOLDER, STORED
from .timm_preprocessing import colours, configured
from .weight_files import SINGLE, read_weights

ONNX = ".onnx"


def is_place(name: str, task: str) -> bool:
    """Whether a teacher is named by where it lies; the name of a network is none, whatever folders are called."""
    import timm

    if name.startswith(STORED):
        return name.startswith(FOLDER) and task == "segmentation"  # whose classifiers timm reads itself
    if os.sep in name or name.endswith(ONNX):
        return True
    if not name.strip() or not _exists(Path(name)) or name in CIFAR_NETWORKS or timm.is_model(name):
        return False
    return name.partition(":")[0].lower() not in smp_names()


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:  # of names that no file can have
        return False


def place_label(name: str) -> str:
    """A teacher's name for cards and files that others read: of a folder or a file, only what it is called."""
    placed = is_place(name, "segmentation")
    return Path(name.removeprefix(FOLDER)).name if placed else name


def read_place(place: Path, choice: WeightChoice | None = None) -> Teacher:
    """What there says of a teacher, its task included.

    Raises `UsageError` for what is not there, cannot be read, or does not say what network it is.
    """
    choice = choice or WeightChoice()
    if place.suffix.lower() == ONNX:
        raise UsageError(
            f"{place} is an ONNX file, through which no gradient goes: distil from the checkpoint it was made of, or "
            "from its folder"
        )
    if not _exists(place):
        raise UsageError(
            f"no model at {str(place)[:200]}: a run, a folder of this package, of timm or of SMP, or a file is expected"
        )
    file = own_weights(place)
    card = card_in(file) if file else None
    if file and card:
        return _carded_place(place, file, card, choice)
    folder = place.parent if place.name in SINGLE and (place.parent / CONFIG).is_file() else place
    if not (folder / CONFIG).is_file():
        read_weights(place)  # says what a file is that holds no weights
        raise UsageError(
            f"{place} does not say what network it is for: name that with `teacher` (`compress list teachers`); to "
            "distil from it, give it as `teacher_weights`"
        )
    return _described_place(folder, choice)


def _carded_place(place: Path, file: Path, card: Card, choice: WeightChoice) -> Teacher:
    if card.shared_channels:
        raise UsageError(
            f"{place} has a part of its own teacher, which no network by name has: distil from that teacher instead"
        )
    if choice.arguments:
        raise UsageError(f"{place} says itself how its network is made: leave out `teacher_args`")
    teacher = Teacher(name=card.network, task=card.task, origin=str(place), choice=choice)
    return as_carded(replace(teacher, weights=read_weights(file)), card)


def _described_place(folder: Path, choice: WeightChoice) -> Teacher:
    described = described_model(folder)
    require_one_class(choice.arguments.get("activation"), described.classes)
    arguments = {**described.arguments, **choice.arguments}
    if described.task == "segmentation":
        arguments = checked(segmenter_parts(described.name)[0], arguments)
    weights = read_weights(folder)
    require_weights_for(sketch(described.task, described.name, arguments, described.classes), weights, str(folder))
    teacher = Teacher(
        name=described.name,
        task=described.task,
        origin=str(folder),
        weights=weights,
        choice=choice,
        arguments=arguments,
    )
    return replace(configured(teacher, described.preprocessing), classes=described.classes)


def as_carded(teacher: Teacher, card: Card) -> Teacher:
    """The teacher as the card of its weights says it."""
    return replace(
        teacher,
        classes=len(card.class_names) if card.threshold is None else 1,
        threshold=card.threshold,
        class_names=card.class_names,
        image_size=card.image_size,
        mean=colours(card.mean),
        std=colours(card.std),
        framing=card.framing,
    )
