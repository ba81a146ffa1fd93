"""The constructor arguments of a segmenter, from the user, a config.json, and the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from compress.errors import UsageError
from compress.teacher import Teacher

from .config_json import DescribedModel
from .constructor_arguments import checked, signature_of
from .inferred_arguments import Sketch, inferred, sketches
from .sketches import SKETCHED_CLASSES
from .smp_segmenters import segmenter_parts, sizes_of, smp_segmenter
from .weight_matching import below, unwrapped

STRIDE = "encoder_output_stride"
STRIDES = (8, 16, 32)
ASSUMED = ("decoder_atrous_rates", "decoder_interpolation")
"""Arguments that no shape reveals and that are rarely changed: SMP's defaults are assumed, and a note says so."""


def settled(teacher: Teacher, described: DescribedModel | None) -> Teacher:
    """The teacher with the arguments of its segmenter, and notes on those that were inferred or assumed.

    `described` is the model in the config.json beside its weights. Raises `UsageError` if that is another network, or
    if the weights fit several output strides and no source says which they were trained with.
    """
    architecture, encoder, size = segmenter_parts(teacher.name)
    bare_name = f"{architecture}:{encoder}"
    explicit: Mapping[str, Any] = teacher.arguments
    if described is not None:
        if described.name != bare_name or size:
            raise UsageError(f"{teacher.origin} is a {described.name} and `teacher` names {teacher.name}: leave it out")
        return replace(teacher, arguments={**checked(architecture, described.arguments), **explicit})
    if teacher.choice.match == "order":
        return teacher

    def build(arguments: Mapping[str, Any]) -> nn.Module:
        return smp_segmenter(bare_name, SKETCHED_CLASSES, False, arguments)

    sizes, sketch = sizes_of(teacher.name), sketches(build)
    weights = unwrapped(teacher.weights or {})
    weights = below(weights, teacher.choice.key) if teacher.choice.key else weights
    arguments = {**explicit, **inferred(architecture, sketch, weights, {**sizes, **explicit})}
    defaults = {name: parameter.default for name, parameter in signature_of(architecture).items()}
    if STRIDE in defaults and STRIDE not in arguments:
        arguments[STRIDE] = _only_stride(teacher, defaults[STRIDE], sketch, {**sizes, **arguments})
    assumptions = [f"{name}={defaults[name]}" for name in ASSUMED if name in defaults and name not in arguments]
    assumed = f"{teacher.origin}: SMP's defaults {', '.join(assumptions)} are assumed; `teacher_args` sets others"
    inferences = [f"{name}={value}" for name, value in arguments.items() if name not in explicit and name != STRIDE]
    by_shape = f"{teacher.origin}: {', '.join(inferences)} is inferred from the shapes of its weights"
    notes = tuple(text for text, entries in ((by_shape, inferences), (assumed, assumptions)) if entries)
    return replace(teacher, arguments=arguments, notes=notes)


def _only_stride(teacher: Teacher, default: int, sketch: Sketch, arguments: Mapping[str, Any]) -> int:
    """The one output stride that the network can have; raises `UsageError` if it can have several."""
    strides = [stride for stride in STRIDES if sketch({**arguments, STRIDE: stride}) is not None]
    if len(strides) > 1:
        choices = " and ".join(map(str, strides))
        raise UsageError(
            f"{teacher.origin} fits {teacher.name} with an {STRIDE} of {choices}, and their outputs differ: give the "
            f"one it was trained with, `teacher_args` {STRIDE}={default} if SMP's default was not changed"
        )
    return strides[0] if strides else default
