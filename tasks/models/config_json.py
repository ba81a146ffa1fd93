"""The model that a folder's config.json describes, in the format of timm, segmentation-models-pytorch or transformers.

The file is untrusted: numbers are bounded, names are looked up in tables, and nothing is downloaded for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compress.errors import UsageError, first_line
from compress.storage.untrusted import plain_json, read_bytes

from .constructor_arguments import GREY, bounded, require_channels, require_one_class, require_own
from .smp_segmenters import SMP_DEFAULT_ENCODER, smp_names
from .timm_hub import CONFIG_LIMIT, STORED

CONFIG = "config.json"
CLASS_LIMIT = 100_000
MULTI_LABEL = "multi_label_classification"
EXPECTED = "a folder of timm, of SMP's save_pretrained or of this package is expected"


@dataclass(frozen=True, kw_only=True)
class DescribedModel:
    """The network that a config.json names, with its constructor's arguments and its preprocessing."""

    task: str
    name: str
    """As `create_model` takes it."""
    classes: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of its constructor."""
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    """timm's configuration: size, crop, mean, label names."""


def described_model(folder: Path) -> DescribedModel:
    """Read the model that a folder's config.json describes.

    Raises `UsageError` for a folder without a config.json, for a network of an unsupported library, and for an
    unsupported network: one with several sigmoids, or for images of other than one or three channels.
    """
    try:
        config = plain_json(read_bytes(folder / CONFIG, CONFIG_LIMIT))
        if not isinstance(config, dict):
            raise ValueError("it is no table")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {folder / CONFIG}: {first_line(error)}; {EXPECTED}") from error
    try:
        if "_model_class" in config:
            return _segmenter(config)
        if "architecture" in config:
            return _classifier(config)
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"cannot use {folder / CONFIG}: {first_line(error)}; {EXPECTED}") from error
    if isinstance(config.get("architectures"), list) or "model_type" in config:
        name = next(iter(config.get("architectures") or [config.get("model_type")]))
        raise UsageError(
            f"{folder} is a network of the transformers library, {name!r:.60}, which is not used here: build it in "
            "Python and pass the module to `compress.distill` or `compress.to_onnx`"
        )
    if "encoder_name" in config:
        raise UsageError(
            f"{folder / CONFIG} does not say which segmenter has the encoder {config['encoder_name']!r:.60}: save it "
            "with SMP 0.4 or later, or name the network with `teacher`"
        )
    raise UsageError(f"{folder / CONFIG} names no network: {EXPECTED}")


def is_of_smp(folder: Path) -> bool:
    """Whether a folder was written by `save_pretrained` of segmentation-models-pytorch."""
    try:
        return "_model_class" in plain_json(read_bytes(folder / CONFIG, CONFIG_LIMIT))
    except (OSError, ValueError, TypeError):
        return False


def _segmenter(config: Mapping[str, Any]) -> DescribedModel:
    architecture, encoder = str(config["_model_class"]).lower(), config.get("encoder_name", SMP_DEFAULT_ENCODER)
    fetched = isinstance(encoder, str) and any(mark in encoder for mark in STORED)
    if architecture not in smp_names() or not isinstance(encoder, str) or fetched:
        raise ValueError(f"_model_class is {architecture!r:.60} and encoder_name {encoder!r:.60}")
    classes = _classes(config.get("classes", 1))
    require_one_class(config.get("activation"), classes)
    arguments = {
        key: bounded(key, value)
        for key, value in config.items()
        if not key.startswith("_") and key not in ("classes", "encoder_name", "encoder_weights", "aux_params")
    }
    return DescribedModel(task="segmentation", name=f"{architecture}:{encoder}", classes=classes, arguments=arguments)


def _classifier(config: Mapping[str, Any]) -> DescribedModel:
    import timm

    name = str(config["architecture"])
    if not timm.is_model(name):
        raise ValueError(f"timm has no architecture {name!r:.60}")
    preparation = config.get("pretrained_cfg", config)
    arguments = dict(config.get("model_args") or {})
    require_own(name, arguments)
    if not isinstance(preparation, dict):
        raise ValueError(f"pretrained_cfg is {preparation!r:.60}")
    size = preparation.get("input_size")
    channels = size[0] if isinstance(size, (list, tuple)) and len(size) == 3 else 3
    if channels != 3:
        require_channels(name, channels)
        arguments.setdefault("in_chans", GREY)
    if config.get("problem_type") == MULTI_LABEL:
        raise ValueError("it is multi-label, an image may have several classes: here an image has one class")
    classes = _classes(config.get("num_classes", preparation.get("num_classes")))
    labels = {"label_names": config["label_names"]} if "label_names" in config else _labels(config, classes)
    return DescribedModel(
        task="classification",
        name=name,
        classes=classes,
        arguments={str(key): bounded(str(key), value) for key, value in arguments.items() if key != "num_classes"},
        preprocessing={**preparation, **labels, "num_classes": classes},
    )


def _labels(config: Mapping[str, Any], classes: int) -> dict[str, Any]:
    """`label_names` from transformers' table of names by index; empty if that is no complete table."""
    table = config.get("id2label")
    if not isinstance(table, dict) or len(table) != classes:
        return {}
    names = [table.get(str(index)) for index in range(classes)]
    return {"label_names": names} if all(isinstance(name, str) for name in names) else {}


def _classes(number: object) -> int:
    if type(number) is not int or not 1 <= number <= CLASS_LIMIT:
        raise ValueError(f"it has {number!r:.40} classes")
    return number
