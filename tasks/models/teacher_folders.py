"""Teachers by path: a run, a folder or a file that describes the network of its weights."""

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
    """Whether `name` is a path rather than a network's name, even if a folder is called like the network."""
    import timm

    if name.startswith(STORED):
        return name.startswith(FOLDER) and task == "segmentation"  # timm reads folders of classifiers itself
    if os.sep in name or name.endswith(ONNX):
        return True
    if not name.strip() or not _exists(Path(name)) or name in CIFAR_NETWORKS or timm.is_model(name):
        return False
    return name.partition(":")[0].lower() not in smp_names()


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:  # the name is not valid for a file
        return False


def place_label(name: str) -> str:
    """A teacher's name for model cards and exported files: for a path, only its last part."""
    placed = is_place(name, "segmentation")
    return Path(name.removeprefix(FOLDER)).name if placed else name


def read_place(place: Path, choice: WeightChoice | None = None) -> Teacher:
    """Read the teacher at a path, including its task.

    Raises `UsageError` if nothing is there, if it cannot be read, or if it does not name its network.
    """
    choice = choice or WeightChoice()
    if place.suffix.lower() == ONNX:
        raise UsageError(
            f"{place} is an ONNX file, which has no gradients: distil from the checkpoint it was exported from, or "
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
        read_weights(place)  # raises a better error for a file without weights
        raise UsageError(
            f"{place} does not name its network: name it with `teacher` (`compress list teachers`); to distil from "
            "it, give the file as `teacher_weights`"
        )
    return _described_place(folder, choice)


def _carded_place(place: Path, file: Path, card: Card, choice: WeightChoice) -> Teacher:
    if card.shared_channels:
        raise UsageError(
            f"{place} contains its teacher's classifier, which no network of a known name has: distil from that "
            "teacher instead"
        )
    if choice.arguments:
        raise UsageError(f"{place} describes its network completely: leave out `teacher_args`")
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
    """The teacher with the facts of its weights' card."""
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
