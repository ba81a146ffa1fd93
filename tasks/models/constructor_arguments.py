"""Arguments of constructors beside the names of networks, such as SMP's `encoder_output_stride`: parsed and checked.

Some change what a network computes and not the shapes of its weights. A `save_pretrained` folder says them in its
config.json, the shapes of a file say others, and `teacher_args` says the rest.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from compress.errors import UsageError, first_line, unknown_name

OF_NAME = {"encoder_name": "the name, architecture:encoder", "classes": "the file of weights or the data"}
"""Arguments that are said in another way."""
NO_LOGITS = {"tanh", "clamp"}
"""Activations after which no decision is that of the logits."""
LOGITS_ONLY = frozenset({"activation", "aux_params", "encoder_weights", "decoder_aspp_dropout", "decoder_dropout"})
"""Arguments without which a trained network answers with the same logits."""
OF_ENCODER = frozenset({"img_size", "dynamic_img_size"})
"""Arguments that SMP's constructors hand on to timm's encoders."""
OF_TIMM_ITSELF = frozenset({
    "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "scriptable",
    "exportable", "no_jit", "features_only", "out_indices", "num_classes", "model_name",
})  # fmt: skip
"""What timm's `create_model` takes for itself: other files, other weights, parts of a network."""
LARGEST, LONGEST = 2048, 16
"""Of a number, and of a list: untrusted configurations choose how much memory a network takes."""
GREY = 1


def parsed(texts: Sequence[str]) -> dict[str, Any]:
    """Arguments from `KEY=VALUE`: numbers, true, false, null, text, and lists with commas or in brackets.

    Raises `UsageError` for what is no such pair, or says a key twice.
    """
    arguments: dict[str, Any] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key.isidentifier() or not value:
            raise UsageError(f"`teacher_args` {text!r:.80} is no KEY=VALUE, such as encoder_output_stride=16")
        if key in arguments:
            raise UsageError(f"`teacher_args` says {key} twice: give it once")
        opened = value[0] + value[-1]
        listed = f"[{value[1:-1]}]" if opened == "()" else f"[{value}]" if "," in value and opened != "[]" else value
        try:
            arguments[key] = yaml.safe_load(listed)
        except yaml.YAMLError as error:
            raise UsageError(f"`teacher_args` {text!r:.80} cannot be read: {first_line(error)}") from error
    return arguments


def signature_of(architecture: str) -> Mapping[str, inspect.Parameter]:
    """What a segmenter of segmentation-models-pytorch is made with, by name."""
    import segmentation_models_pytorch as smp

    parameters = inspect.signature(smp.MODEL_ARCHITECTURES_MAPPING[architecture]).parameters
    return {name: each for name, each in parameters.items() if each.kind is each.POSITIONAL_OR_KEYWORD}


def checked(architecture: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a segmenter of SMP needs to answer with its logits, as its constructor takes them.

    Raises `UsageError` for one that it does not take, with the nearest one, for one that is said in another way, and
    for values that cannot be.
    """
    signature = signature_of(architecture)
    for name, value in arguments.items():
        if name in OF_NAME:
            raise UsageError(f"`teacher_args` cannot hold {name}: {OF_NAME[name]} says it")
        if name not in signature and name not in OF_ENCODER:
            raise unknown_name(f"argument of {architecture}:", name, sorted(signature.keys() - OF_NAME.keys()))
        if name == "in_channels":
            require_channels(architecture, value)
        if name == "activation" and value in NO_LOGITS:
            raise UsageError(f"activation {value!r} of {architecture} leaves no classes to choose from: use another")
    return {name: bounded(name, value) for name, value in arguments.items() if name not in LOGITS_ONLY}


def require_own(name: str, arguments: Mapping[str, Any]) -> None:
    """Raise `UsageError` for arguments that are timm's own and not the network's."""
    for key in sorted(OF_TIMM_ITSELF & arguments.keys()):
        raise UsageError(f"{key} is no argument of the network {name}: leave it out")


def require_channels(name: str, channels: object) -> None:
    """Raise `UsageError` unless images of so many channels can be made of RGB images: 3, or 1 for grey."""
    if channels not in (GREY, 3) or isinstance(channels, bool):
        raise UsageError(
            f"{name} takes images of {channels!r:.40} channels: images here are RGB, from which 3 or 1 (grey) are made"
        )


def require_one_class(activation: object, classes: int | None) -> None:
    """Raise `UsageError` for a sigmoid on each of several classes: then a pixel may have several."""
    if classes != 1 and activation in ("sigmoid", "logsigmoid"):
        raise UsageError(
            f"a sigmoid for each of {classes or 'several'} classes is multi-label, a pixel may have several of them: "
            "here a pixel has one class, so use a teacher with a softmax, or classes=1 for one class and its background"
        )


def bounded(name: str, value: object) -> Any:
    """A value of an argument, lists as tuples; raises `UsageError` for what could only take memory or run code."""
    values = value if isinstance(value, (list, tuple)) else [value]
    plain = all(part is None or isinstance(part, (bool, int, float, str)) for part in values)
    if not plain or len(values) > LONGEST or any(_large(part) for part in values):
        raise UsageError(f"{name} is {value!r:.80}: numbers up to {LARGEST}, words and short lists of these are taken")
    return tuple(values) if isinstance(value, (list, tuple)) else value


def _large(part: object) -> bool:
    return isinstance(part, (int, float)) and not abs(part) <= LARGEST
