"""Constructor arguments of segmenters, inferred from weights: names show which parts exist, shapes how wide they are.

To infer a width, the network is built twice, once with that argument doubled. Where a dimension of a tensor doubles
too, the same dimension in the file is the argument's value. Networks are built on the meta device, without memory.
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
"""Prefixes of the weights of a segmenter's head, and of the auxiliary head that `aux_params` adds for training."""
PARTS: Mapping[str, tuple[Any, ...]] = {
    "encoder_depth": (5, 4, 3),
    "decoder_attention_type": (None, "scse"),
    "decoder_use_norm": ("batchnorm", False),
    "decoder_aspp_separable": (True, False),
    "decoder_merge_policy": ("add", "cat"),
    "decoder_readout": ("cat", "ignore"),
}
"""Arguments that decide which parts a network has, and the values under which the names of its weights differ."""


def inferred(architecture: str, sketch: Sketch, tensors: Mapping[str, Tensor], explicit: Arguments) -> dict[str, Any]:
    """The arguments other than SMP's defaults that names and shapes reveal, beside the `explicit` ones.

    `sketch` returns the shapes of the network built with given arguments. An argument that cannot be inferred is left
    out; loading then fails and names the tensors that do not fit. Raises `UsageError` for images of other than one or
    three channels.
    """
    file_shapes = _file_shapes(tensors)
    shapes = sketch(explicit)
    if not file_shapes or shapes is None or _fit(shapes, file_shapes):
        return {}
    for parts in _parts(architecture, sketch, file_shapes, explicit):
        widths = _widths(architecture, sketch, file_shapes, {**explicit, **parts}, explicit)
        built = sketch({**explicit, **parts}) or {}
        arguments = {**parts, **widths, **_channels(architecture, built, file_shapes, explicit)}
        if _fit(sketch({**explicit, **arguments}) or {}, file_shapes):
            return arguments
    return {}


def _file_shapes(tensors: Mapping[str, Tensor]) -> Shapes:
    """The shapes of a segmenter's tensors in a file, by the segmenter's names; of the first if there are several."""
    match = next(filter(None, map(ROOT.match, tensors)), None)
    path = match["path"] if match else ""
    own = {name.removeprefix(path): value for name, value in tensors.items() if match and name.startswith(path)}
    return {name: tuple(value.shape) for name, value in own.items() if _counts(name)}


def _counts(name: str) -> bool:
    return name.startswith(("encoder.", "decoder.", HEAD)) and not name.endswith(COUNTER)


def sketches(build: Build) -> Sketch:
    """A function from arguments to the network's shapes, None if it cannot be built; results are cached."""
    cache: dict[str, Shapes | None] = {}

    def sketch(arguments: Arguments) -> Shapes | None:
        key = repr(sorted(arguments.items()))
        if key not in cache:
            cache[key] = _shapes_of(build, arguments)
        return cache[key]

    return sketch


def _shapes_of(build: Build, arguments: Arguments) -> Shapes | None:
    """The shapes of the network's tensors by their names, with these arguments; None if it cannot be built."""
    try:
        try:
            with torch.device("meta"):
                network = build(arguments)
        except UsageError:  # some networks cannot be built on the meta device
            network = build(arguments)
    except UsageError:
        return None
    return {name: tuple(value.shape) for name, value in network.state_dict().items() if _counts(name)}


def _fit(shapes: Shapes, file_shapes: Shapes) -> bool:
    """Whether names and shapes are the same, apart from the head's number of classes."""
    return shapes.keys() == file_shapes.keys() and all(
        file_shapes[name][1:] == shape[1:] if name.startswith(HEAD) else file_shapes[name] == shape
        for name, shape in shapes.items()
    )


def _parts(architecture: str, sketch: Sketch, file_shapes: Shapes, explicit: Arguments) -> Iterator[dict[str, Any]]:
    """The choices of parts under which the network has the file's names, SMP's defaults first."""
    signature = signature_of(architecture)
    names = [name for name in PARTS if name in signature and name not in explicit]
    for values in itertools.product(*(_default_first(signature[name].default, PARTS[name]) for name in names)):
        changed = {n: v for n, v in zip(names, values, strict=True) if v != signature[n].default}
        parts = _for_depth(signature, changed, explicit)
        if (sketch({**explicit, **parts}) or {}).keys() == file_shapes.keys():
            yield parts


def _default_first(default: Any, values: tuple[Any, ...]) -> list[Any]:
    return [default, *(value for value in values if value != default)]


def _for_depth(signature: Mapping[str, Any], changed: Arguments, explicit: Arguments) -> dict[str, Any]:
    """The arguments with as many decoder widths as the encoder has stages."""
    default = signature["decoder_channels"].default if "decoder_channels" in signature else None
    depth = changed.get("encoder_depth")
    if depth is None or not isinstance(default, tuple) or "decoder_channels" in explicit:
        return dict(changed)
    return {**changed, "decoder_channels": default[:depth]}


def _channels(architecture: str, shapes: Shapes, file_shapes: Shapes, explicit: Arguments) -> dict[str, int]:
    """`in_channels`, if the first convolution in the file has another number of input channels than three."""
    for name, shape in shapes.items():
        theirs = file_shapes.get(name, ())
        if name.startswith("encoder.") and len(shape) == len(theirs) == 4 and shape[1] == 3 != theirs[1]:
            require_channels(architecture, theirs[1])
            return {} if "in_channels" in explicit else {"in_channels": theirs[1]}
    return {}


def _widths(
    architecture: str, sketch: Sketch, file_shapes: Shapes, arguments: Arguments, explicit: Arguments
) -> dict[str, Any]:
    """Numbers of channels for which the file's shapes differ from those of the network built with `arguments`."""
    before = sketch(arguments)
    widths: dict[str, Any] = {}
    for name, parameter in signature_of(architecture).items():
        default = arguments.get(name, parameter.default)
        if name in explicit or name == "in_channels" or not name.endswith("channels") or before is None:
            continue
        numbers = list(default) if isinstance(default, tuple) else [default]
        file_numbers = list(numbers)
        for place, number in enumerate(numbers):
            doubled = [*numbers[:place], 2 * number, *numbers[place + 1 :]]
            after = sketch({**arguments, name: tuple(doubled) if isinstance(default, tuple) else doubled[0]})
            file_numbers[place] = next(_doubled_dimensions(before, after or {}, file_shapes, number), number)
        if file_numbers != numbers:
            widths[name] = tuple(file_numbers) if isinstance(default, tuple) else file_numbers[0]
    return widths


def _doubled_dimensions(before: Shapes, after: Shapes, file_shapes: Shapes, number: int) -> Iterator[int]:
    """The file's value of each dimension that is `number` before and twice `number` after."""
    for name, shape in before.items():
        dimensions = zip(shape, after.get(name, ()), file_shapes.get(name, ()), strict=False)
        yield from (theirs for old, new, theirs in dimensions if old == number and new == 2 * number)
