"""What a name and a file of weights say of a teacher: `compress.teacher.Teacher`, without building the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from compress.errors import UsageError
from compress.framing import CROP_MODES, INTERPOLATIONS, Framing, border_of
from compress.storage.untrusted import plain_json, read_bytes, require_name
from compress.teacher import Colours, Teacher, WeightChoice

from ..named_task import find_task
from . import create_model
from .cifar import CIFAR_NETWORKS
from .model_folder import card_in
from .timm_hub import CONFIG_LIMIT, FOLDER, HUB, STORED, normaliser, require_stored
from .weight_files import read_weights
from .weights import classes_of

TIMM_CROP_PCT, TIMM_INTERPOLATION = 0.875, "bicubic"
"""What timm does where a configuration does not say it."""
SKETCHED_CLASSES = 1000
BY_ORDER = WeightChoice(match="order")


def read_teacher(task: str, name: str, weights: Path | None = None, choice: WeightChoice | None = None) -> Teacher:
    """Read what there is to know of a teacher, once: configuration, weights, number and names of its classes.

    A model that `compress teach` saved says everything itself; of timm's the configuration says how images are
    prepared. Raises `UsageError` for a name in no table and for weights that cannot be read.
    """
    find_task(task)  # imported here, and not where a network is built without memory
    teacher = Teacher(name=name, origin=str(weights or name), choice=choice or WeightChoice())
    if task == "classification" and name not in CIFAR_NETWORKS:
        teacher = _configured(teacher, _configuration(name))
    if weights is None:
        return teacher
    tensors = read_weights(weights)
    card = card_in(weights)
    if card is not None:
        return replace(
            teacher,
            weights=tensors,
            classes=len(card.class_names) if card.threshold is None else 1,
            threshold=card.threshold,
            class_names=card.class_names,
            image_size=card.image_size,
            mean=_colours(card.mean),
            std=_colours(card.std),
            framing=card.framing,
        )
    # the configuration's names are those of other weights
    classes = _classes(task, name, tensors, teacher.choice, teacher.origin)
    return replace(teacher, weights=tensors, classes=classes, class_names=None)


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
        return {}  # create_model says what is nearest
    config = timm.get_pretrained_cfg(name)
    facts = config.to_dict() if config else {}
    return {key: value for key, value in facts.items() if key not in ("num_classes", "label_names")}


def _on_hub(name: str) -> Mapping[str, Any]:
    """The configuration that the hub, or what was fetched from it before, has; nothing if it cannot be had.

    Making the network says why.
    """
    from timm.models import load_model_config_from_hf

    try:
        config: Mapping[str, Any] = load_model_config_from_hf(name.removeprefix(HUB))[0]
    except Exception:  # the hub's library refuses with many types
        return {}
    return config


def _configured(teacher: Teacher, config: Mapping[str, Any]) -> Teacher:
    """The teacher as its timm configuration describes it; raises `UsageError` for a configuration that cannot be."""
    if not config:
        return teacher
    try:
        mean, std = (_colours(numbers) for numbers in normaliser(config))
        size: tuple[int, ...] = tuple(config.get("input_size") or ())
        return replace(
            teacher,
            classes=config.get("num_classes"),
            class_names=_labels(config),
            image_size=int(size[1]) if len(size) == 3 else None,
            mean=mean,
            std=std,
            framing=_framing(config, mean),
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"cannot use {teacher.name!r}: {error}") from error


def _framing(config: Mapping[str, Any], mean: Colours) -> Framing:
    mode, interpolation = config.get("crop_mode") or "center", config.get("interpolation") or TIMM_INTERPOLATION
    if mode not in CROP_MODES or interpolation not in INTERPOLATIONS:
        raise ValueError(f"its crop mode is {mode!r:.40} and its interpolation {interpolation!r:.40}")
    share = config.get("crop_pct") or TIMM_CROP_PCT
    return Framing(mode, share, interpolation, border_of(mean))


def _labels(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    labels = config.get("label_names")
    if not isinstance(labels, (list, tuple)) or not labels:
        return None
    return tuple(require_name(str(label)) for label in labels)


def _colours(numbers: Sequence[float]) -> Colours:
    red, green, blue = (float(number) for number in numbers)
    return red, green, blue


def _classes(task: str, name: str, tensors: Mapping[str, Tensor], choice: WeightChoice, origin: str) -> int | None:
    """How many classes the weights are for, by their last layer; None if it cannot be told."""
    if name.startswith(STORED):
        return None
    try:
        try:
            with torch.device("meta"):
                sketch = create_model(task, name, SKETCHED_CLASSES).network
        except UsageError:  # some networks of segmentation-models-pytorch cannot be made without numbers
            sketch = create_model(task, name, SKETCHED_CLASSES).network
    except UsageError:  # of a wrong name, which is refused when the network is made
        return None
    classes = classes_of(sketch, SKETCHED_CLASSES, tensors, choice)
    if classes is None and choice.match == "name" and classes_of(sketch, SKETCHED_CLASSES, tensors, BY_ORDER):
        raise UsageError(
            f"{origin} does not fit the network by its names; its tensors fit by their order and shapes, though: "
            "`match` order takes them so"
        )
    return classes
