"""Arguments of segmenters told by a file of weights: its names say which parts there are, its shapes how wide.

A width is found by building the network twice, once with that argument doubled: where a side of a tensor doubles too,
the file's tensor says what the argument was. Networks are built without numbers.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from compress.errors import UsageError

from .constructor_arguments import require_channels, signature_of
from .weight_matching import COUNTER

Arguments = Mapping[str, Any]
Shapes = Mapping[str, tuple[int, ...]]
Build = Callable[[Arguments], nn.Module]
Sketch = Callable[[Arguments], Shapes | None]
ROOT = re.compile(r"(?P<path>(?:.*?\.)?)segmentation_head\.")
HEAD, AUXILIARY = "segmentation_head.", "classification_head."
"""Beginnings of the names of a segmenter's own head, and of one that is trained beside it where `aux_params` asks."""
PARTS: Mapping[str, tuple[Any, ...]] = {
    "encoder_depth": (5, 4, 3),
    "decoder_attention_type": (None, "scse"),
    "decoder_use_norm": ("batchnorm", False),
    "decoder_aspp_separable": (True, False),
    "decoder_merge_policy": ("add", "cat"),
    "decoder_readout": ("cat", "ignore"),
}
"""Arguments that say which parts there are, and values that differ in their names."""


def inferred(architecture: str, sketch: Sketch, tensors: Mapping[str, Tensor], told: Arguments) -> dict[str, Any]:
    """The arguments that names and shapes tell to be others than SMP's usual ones, beside those that are `told`.

    `sketch` gives the shapes of a network that is made with arguments. What cannot be told is left out: the weights
    then do not fit, and their reader says where. Raises `UsageError` for images of other than one or three channels.
    """
    held = _held(tensors)
    shapes = sketch(told)
    if not held or shapes is None or _fit(shapes, held):
        return {}
    for parts in _parts(architecture, sketch, held, told):
        widths = _widths(architecture, sketch, held, {**told, **parts}, told)
        arguments = {**parts, **widths, **_channels(architecture, sketch({**told, **parts}) or {}, held, told)}
        if _fit(sketch({**told, **arguments}) or {}, held):
            return arguments
    return {}


def _held(tensors: Mapping[str, Tensor]) -> Shapes:
    """The shapes of a segmenter's tensors in a file, under its own names; of the first, where there are several."""
    match = next(filter(None, map(ROOT.match, tensors)), None)
    path = match["path"] if match else ""
    own = {name.removeprefix(path): value for name, value in tensors.items() if match and name.startswith(path)}
    return {name: tuple(value.shape) for name, value in own.items() if _counts(name)}


def _counts(name: str) -> bool:
    return name.startswith(("encoder.", "decoder.", HEAD)) and not name.endswith(COUNTER)


def sketches(build: Build) -> Sketch:
    """The shapes of a network by its arguments, and None where it cannot be built; each is built once."""
    before: dict[str, Shapes | None] = {}

    def sketch(arguments: Arguments) -> Shapes | None:
        key = repr(sorted(arguments.items()))
        if key not in before:
            before[key] = _shapes_of(build, arguments)
        return before[key]

    return sketch


def _shapes_of(build: Build, arguments: Arguments) -> Shapes | None:
    """The shapes of the network's tensors by their names, with these arguments; None if it cannot be built."""
    try:
        try:
            with torch.device("meta"):
                network = build(arguments)
        except UsageError:  # some networks cannot be made without numbers
            network = build(arguments)
    except UsageError:
        return None
    return {name: tuple(value.shape) for name, value in network.state_dict().items() if _counts(name)}


def _fit(shapes: Shapes, held: Shapes) -> bool:
    """Whether names and shapes are the same, but for how many classes the head has."""
    return shapes.keys() == held.keys() and all(
        held[name][1:] == shape[1:] if name.startswith(HEAD) else held[name] == shape for name, shape in shapes.items()
    )


def _parts(architecture: str, sketch: Sketch, held: Shapes, told: Arguments) -> Iterator[dict[str, Any]]:
    """The choices of parts under which the network has the file's names, the usual ones first."""
    signature = signature_of(architecture)
    open_ = [name for name in PARTS if name in signature and name not in told]
    for values in itertools.product(*(_usual_first(signature[name].default, PARTS[name]) for name in open_)):
        chosen = {n: v for n, v in zip(open_, values, strict=True) if v != signature[n].default}
        parts = _for_depth(signature, chosen, told)
        if (sketch({**told, **parts}) or {}).keys() == held.keys():
            yield parts


def _usual_first(usual: Any, values: tuple[Any, ...]) -> list[Any]:
    return [usual, *(value for value in values if value != usual)]


def _for_depth(signature: Mapping[str, Any], chosen: Arguments, told: Arguments) -> dict[str, Any]:
    """With as many widths of a decoder as an encoder of another depth needs."""
    usual = signature["decoder_channels"].default if "decoder_channels" in signature else None
    depth = chosen.get("encoder_depth")
    if depth is None or not isinstance(usual, tuple) or "decoder_channels" in told:
        return dict(chosen)
    return {**chosen, "decoder_channels": usual[:depth]}


def _channels(architecture: str, shapes: Shapes, held: Shapes, told: Arguments) -> dict[str, int]:
    """How many channels images have, where the first convolution says another number than three."""
    for name, shape in shapes.items():
        theirs = held.get(name, ())
        if name.startswith("encoder.") and len(shape) == len(theirs) == 4 and shape[1] == 3 != theirs[1]:
            require_channels(architecture, theirs[1])
            return {} if "in_channels" in told else {"in_channels": theirs[1]}
    return {}


def _widths(architecture: str, sketch: Sketch, held: Shapes, arguments: Arguments, told: Arguments) -> dict[str, Any]:
    """Arguments that are numbers of channels, where the file's shapes say others than the network's."""
    before = sketch(arguments)
    widths: dict[str, Any] = {}
    for name, parameter in signature_of(architecture).items():
        usual = arguments.get(name, parameter.default)
        if name in told or name == "in_channels" or not name.endswith("channels") or before is None:
            continue
        numbers = list(usual) if isinstance(usual, tuple) else [usual]
        told_by_file = list(numbers)
        for place, number in enumerate(numbers):
            doubled = [*numbers[:place], 2 * number, *numbers[place + 1 :]]
            after = sketch({**arguments, name: tuple(doubled) if isinstance(usual, tuple) else doubled[0]})
            told_by_file[place] = next(_moved(before, after or {}, held, number), number)
        if told_by_file != numbers:
            widths[name] = tuple(told_by_file) if isinstance(usual, tuple) else told_by_file[0]
    return widths


def _moved(before: Shapes, after: Shapes, held: Shapes, number: int) -> Iterator[int]:
    """What the file has for each side of a tensor that was the number and is twice the number now."""
    for name, shape in before.items():
        sides = zip(shape, after.get(name, ()), held.get(name, ()), strict=False)
        yield from (theirs for old, new, theirs in sides if old == number and new == 2 * number)
