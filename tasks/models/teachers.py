"""Read a `compress.teacher.Teacher` from a name and a file of weights, without building the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from compress.errors import UsageError
from compress.storage.untrusted import plain_json, read_bytes
from compress.teacher import Teacher, WeightChoice

from ..named_task import find_task
from . import takes_encoder
from .cifar import CIFAR_NETWORKS
from .config_json import described_model, is_of_smp
from .constructor_arguments import checked, require_one_class
from .model_folder import card_in
from .segmenter_arguments import settled
from .sketches import SKETCHED_CLASSES, sketch
from .smp_segmenters import segmenter_parts
from .teacher_folders import as_carded, is_place, read_place
from .timm_hub import CONFIG_LIMIT, FOLDER, HUB, STORED, require_stored
from .timm_preprocessing import configured
from .weight_files import read_weights
from .weights import classes_of

BY_ORDER = WeightChoice(match="order")


def read_teacher(task: str, name: str, weights: Path | None = None, choice: WeightChoice | None = None) -> Teacher:
    """Read a teacher once: configuration, weights, number and names of its classes.

    `name` is the name of a network, or the path of a run, a model of this package, or a folder of timm or SMP. The
    card of a model saved by `compress teach` has all facts; for timm's networks, timm's configuration has the
    preprocessing. Raises `UsageError` for another name, for weights that cannot be read, and for weights that fit two
    networks with different outputs.
    """
    find_task(task)  # imports the task's code now: networks are sketched on the meta device
    choice = choice or WeightChoice()
    if is_place(name, task):
        return _read_placed(task, name, weights, choice)
    teacher = Teacher(name=name, task=task, origin=str(weights or name), choice=choice, arguments=choice.arguments)
    if task == "classification" and name not in CIFAR_NETWORKS:
        teacher = configured(teacher, _configuration(name))
    elif task == "segmentation" and takes_encoder(name):
        teacher = replace(teacher, arguments=checked(segmenter_parts(name)[0], choice.arguments))
    if weights is None:
        return teacher
    teacher = replace(teacher, weights=read_weights(weights))
    card = card_in(weights)
    if card is not None:
        return as_carded(teacher, card)
    if task == "segmentation" and takes_encoder(name):
        described = described_model(weights) if is_of_smp(weights) else None
        teacher = settled(teacher, described)
    classes = _classes(teacher)
    require_one_class(choice.arguments.get("activation"), classes)
    return replace(teacher, classes=classes, class_names=None)  # the configuration's names belong to other weights


def _read_placed(task: str, name: str, weights: Path | None, choice: WeightChoice) -> Teacher:
    if weights is not None:
        raise UsageError(
            f"`teacher` {name} has weights, and `teacher_weights` {weights} has others: leave out one of them, or "
            "name the network with `teacher`"
        )
    teacher = read_place(Path(name.removeprefix(FOLDER)), choice)
    if teacher.task != task:
        raise UsageError(f"`teacher` {name} is for {teacher.task}: pass `task` {teacher.task}")
    return teacher


def _configuration(name: str) -> Mapping[str, Any]:
    """timm's configuration of a network, with `num_classes` and `label_names` only if weights come with it."""
    import timm

    if name.startswith(FOLDER):
        require_stored(name)
        config = plain_json(read_bytes(Path(name.removeprefix(FOLDER)) / "config.json", CONFIG_LIMIT))
        labels = {key: config[key] for key in ("num_classes", "label_names") if key in config}
        return {**config.get("pretrained_cfg", config), **labels}
    if name.startswith(HUB):
        return _on_hub(name)
    if not timm.is_model(name):
        return {}  # create_model raises, with the nearest name
    config = timm.get_pretrained_cfg(name)
    facts = config.to_dict() if config else {}
    return {key: value for key, value in facts.items() if key not in ("num_classes", "label_names")}


def _on_hub(name: str) -> Mapping[str, Any]:
    """The configuration from the hub or its local cache; empty if there is none: building the network then raises."""
    from timm.models import load_model_config_from_hf

    try:
        config: Mapping[str, Any] = load_model_config_from_hf(name.removeprefix(HUB))[0]
    except Exception:  # the hub's library refuses with many types
        return {}
    return config


def _classes(teacher: Teacher) -> int | None:
    """The number of classes of the weights, from their last layer; None if it cannot be determined."""
    if teacher.name.startswith(STORED):
        return None
    tensors: Mapping[str, Tensor] = teacher.weights or {}
    choice = teacher.choice
    try:
        network = sketch(teacher.task, teacher.name, teacher.arguments)
    except UsageError:  # a wrong name is reported when the network is built
        return None
    classes = classes_of(network, SKETCHED_CLASSES, tensors, choice)
    if classes is None and choice.match == "name" and classes_of(network, SKETCHED_CLASSES, tensors, BY_ORDER):
        raise UsageError(
            f"{teacher.origin} does not fit the network by its names, but its tensors fit by order and shape: "
            "`match` order loads them so"
        )
    return classes
