"""The arguments of a segmenter, from all that tells them: the user, a config.json, and the weights themselves."""

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
SAID = ("decoder_atrous_rates", "decoder_interpolation")
"""Arguments that no shape tells and hardly anybody changes: their usual values are taken and said."""


def settled(teacher: Teacher, described: DescribedModel | None) -> Teacher:
    """The teacher with the arguments of its segmenter, and notes on what was taken without being told.

    `described` is what the folder of its weights says. Raises `UsageError` if that is another network, and where the
    weights fit several output strides and nothing says which they were trained with.
    """
    architecture, encoder, size = segmenter_parts(teacher.name)
    bare_name = f"{architecture}:{encoder}"
    told: Mapping[str, Any] = teacher.arguments
    if described is not None:
        if described.name != bare_name or size:
            raise UsageError(f"{teacher.origin} is a {described.name} and `teacher` names {teacher.name}: leave it out")
        return replace(teacher, arguments={**checked(architecture, described.arguments), **told})
    if teacher.choice.match == "order":
        return teacher

    def build(arguments: Mapping[str, Any]) -> nn.Module:
        return smp_segmenter(bare_name, SKETCHED_CLASSES, False, arguments)

    sizes, sketch = sizes_of(teacher.name), sketches(build)
    weights = unwrapped(teacher.weights or {})
    weights = below(weights, teacher.choice.key) if teacher.choice.key else weights
    arguments = {**told, **inferred(architecture, sketch, weights, {**sizes, **told})}
    usual = {name: parameter.default for name, parameter in signature_of(architecture).items()}
    if STRIDE in usual and STRIDE not in arguments:
        arguments[STRIDE] = _only_stride(teacher, usual[STRIDE], sketch, {**sizes, **arguments})
    said = [f"{name}={usual[name]}" for name in SAID if name in usual and name not in arguments]
    note = f"{teacher.origin}: taken with {', '.join(said)}, SMP's own; `teacher_args` says otherwise"
    inferences = [f"{name}={value}" for name, value in arguments.items() if name not in told and name != STRIDE]
    by_shape = f"{teacher.origin}: by its shapes it is made with {', '.join(inferences)}"
    notes = tuple(text for text, holds in ((by_shape, inferences), (note, said)) if holds)
    return replace(teacher, arguments=arguments, notes=notes)


def _only_stride(teacher: Teacher, usual: int, sketch: Sketch, arguments: Mapping[str, Any]) -> int:
    """The one output stride that the network can have; raises `UsageError` if it can have several."""
    strides = [stride for stride in STRIDES if sketch({**arguments, STRIDE: stride}) is not None]
    if len(strides) > 1:
        choices = " and ".join(map(str, strides))
        raise UsageError(
            f"{teacher.origin} fits {teacher.name} with an {STRIDE} of {choices}, whose answers differ: say which it "
            f"was trained with, `teacher_args` {STRIDE}={usual} where nothing else was chosen"
        )
    return strides[0] if strides else usual
