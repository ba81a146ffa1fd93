"""Constructor arguments of networks, such as SMP's `encoder_output_stride`: parsed and checked.

Some change a network's output but not the shapes of its weights. They come from the config.json of a
`save_pretrained` folder, from the shapes of the weights, or from the setting `teacher_args`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from compress.errors import UsageError, first_line, unknown_name

OF_NAME = {"encoder_name": "the name, architecture:encoder", "classes": "the file of weights or the data"}
"""Arguments that are given elsewhere, and where."""
NO_LOGITS = {"tanh", "clamp"}
"""Activations that change which class is the largest output."""
LOGITS_ONLY = frozenset({"activation", "aux_params", "encoder_weights", "decoder_aspp_dropout", "decoder_dropout"})
"""Arguments that do not change the logits of a trained network in evaluation mode; they are left out."""
OF_ENCODER = frozenset({"img_size", "dynamic_img_size"})
"""Arguments that SMP's constructors pass to timm's encoders."""
OF_TIMM_ITSELF = frozenset({
    "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "scriptable",
    "exportable", "no_jit", "features_only", "out_indices", "num_classes", "model_name",
})  # fmt: skip
"""Arguments of timm's `create_model` that are not the network's: other files, other weights, parts of a network."""
LARGEST, LONGEST = 2048, 16
"""Limits of a number and of a list's length: an untrusted configuration decides how much memory a network takes."""
GREY = 1


def parsed(texts: Sequence[str]) -> dict[str, Any]:
    """Parse `KEY=VALUE` texts: a value is a number, true, false, null, text, or a list with commas or in brackets.

    Raises `UsageError` for text of another form, and for a key that occurs twice.
    """
    arguments: dict[str, Any] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key.isidentifier() or not value:
            raise UsageError(f"`teacher_args` {text!r:.80} is no KEY=VALUE, such as encoder_output_stride=16")
        if key in arguments:
            raise UsageError(f"`teacher_args` has {key} twice: give it once")
        brackets = value[0] + value[-1]
        as_yaml = (
            f"[{value[1:-1]}]" if brackets == "()" else f"[{value}]" if "," in value and brackets != "[]" else value
        )
        try:
            arguments[key] = yaml.safe_load(as_yaml)
        except yaml.YAMLError as error:
            raise UsageError(f"`teacher_args` {text!r:.80} cannot be read: {first_line(error)}") from error
    return arguments


def signature_of(architecture: str) -> Mapping[str, inspect.Parameter]:
    """The constructor parameters of a segmenter of segmentation-models-pytorch, by name."""
    import segmentation_models_pytorch as smp

    parameters = inspect.signature(smp.MODEL_ARCHITECTURES_MAPPING[architecture]).parameters
    return {name: each for name, each in parameters.items() if each.kind is each.POSITIONAL_OR_KEYWORD}


def checked(architecture: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that affect the logits of an SMP segmenter, as its constructor takes them.

    Raises `UsageError` for an unknown argument, with the nearest known one, for an argument that is given elsewhere
    (`encoder_name`, `classes`), and for invalid values.
    """
    signature = signature_of(architecture)
    for name, value in arguments.items():
        if name in OF_NAME:
            raise UsageError(f"`teacher_args` cannot hold {name}: it is given by {OF_NAME[name]}")
        if name not in signature and name not in OF_ENCODER:
            raise unknown_name(f"argument of {architecture}:", name, sorted(signature.keys() - OF_NAME.keys()))
        if name == "in_channels":
            require_channels(architecture, value)
        if name == "activation" and value in NO_LOGITS:
            raise UsageError(f"activation {value!r} of {architecture} leaves no classes to choose from: use another")
    return {name: bounded(name, value) for name, value in arguments.items() if name not in LOGITS_ONLY}


def require_own(name: str, arguments: Mapping[str, Any]) -> None:
    """Raise `UsageError` for arguments of timm's `create_model` that are not the network's."""
    for key in sorted(OF_TIMM_ITSELF & arguments.keys()):
        raise UsageError(f"{key} is no argument of the network {name}: leave it out")


def require_channels(name: str, channels: object) -> None:
    """Raise `UsageError` unless `channels` is 3 (RGB) or 1 (grey, which is computed from RGB)."""
    if channels not in (GREY, 3) or isinstance(channels, bool):
        raise UsageError(
            f"{name} takes images of {channels!r:.40} channels: use a network of 3 channels (RGB) or 1 (grey)"
        )


def require_one_class(activation: object, classes: int | None) -> None:
    """Raise `UsageError` for a sigmoid on each of several classes, which is multi-label."""
    if classes != 1 and activation in ("sigmoid", "logsigmoid"):
        raise UsageError(
            f"a sigmoid for each of {classes or 'several'} classes is multi-label, and only one class a pixel is "
            "supported: use a teacher with a softmax, or classes=1 for one class and its background"
        )


def bounded(name: str, value: object) -> Any:
    """The value of an argument, lists as tuples; raises `UsageError` for large numbers, long lists and objects."""
    values = value if isinstance(value, (list, tuple)) else [value]
    plain = all(part is None or isinstance(part, (bool, int, float, str)) for part in values)
    if not plain or len(values) > LONGEST or any(_large(part) for part in values):
        raise UsageError(f"{name} is {value!r:.80}: give a number up to {LARGEST}, a word, or a short list of these")
    return tuple(values) if isinstance(value, (list, tuple)) else value


def _large(part: object) -> bool:
    return isinstance(part, (int, float)) and not abs(part) <= LARGEST
