"""What stands before and behind the network in a file: pictures of any size in, an application's answers out.

Both are written in ONNX itself and joined to the network that torch exported: one exported network serves every form of
file, and it alone is made smaller, while they work in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from onnx import ModelProto, compose, parser

from compress.task import TaskSpec

from .runtime import GUESSES

BODY_INPUT, BODY_OUTPUT = "images", "network_logits"
"""What the exported network takes, float32 `[n, 3, h, w]` in [0, 1], and gives, `[n, k, *s]`."""
BILINEAR = 'mode="linear", coordinate_transformation_mode="half_pixel"'
ANTIALIASED = f"{BILINEAR}, antialias=1, exclude_outside=1"
"""With weights renewed at the border, as Pillow and torch do it: without, images differ from theirs by up to 4 %."""


@dataclass(frozen=True)
class Form:
    """What a file takes and what it answers with."""

    input: Literal["float", "uint8"] = "float"
    """`images`, float32 `[n, 3, h, w]` in [0, 1]; or `pixels`, uint8 `[n, h, w, 3]` of any size, resized inside."""
    output: Literal["logits", "probabilities", "decision"] = "decision"
    """The first two are `[n, k, *s]`; a decision is `classes` and `scores`: a classifier's five best `[n, 5]`, or a
    class map `[n, h, w]`, one byte a pixel (four beyond 256 classes), and the probability of what it shows."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """In the order of the file's outputs."""
        return ("classes", "scores") if self.output == "decision" else (self.output,)


def dressed(body: ModelProto, spec: TaskSpec, form: Form, *, dynamic_size: bool) -> ModelProto:
    """The file in the form that is asked for, around a network with free height and width or one of `spec`'s size.

    Pictures of other sizes are resized as the task's data are: a classifier sees their central square, a segmenter all
    of them at the shorter side that it was scored at, or at its only size; its maps are brought back to their own size.
    """
    maps = len(body.graph.output[0].type.tensor_type.shape.dim) > 2
    resized = form.input == "uint8" and (not maps or not dynamic_size or spec.image_size is not None)
    restored = maps and resized
    model = body
    if form.input == "uint8":
        sizes = _own_sizes() if not resized else _map_sizes(spec, dynamic_size) if maps else _square(spec)
        model = _joined(_prelude(body, sizes, restored), model, [BODY_INPUT])
    head = _head(body, spec.num_classes, form, maps, restored)
    return _joined(model, head, [BODY_OUTPUT, "size"] if restored else [BODY_OUTPUT])


def _joined(first: ModelProto, second: ModelProto, shared: Sequence[str]) -> ModelProto:
    model: ModelProto = compose.merge_models(first, second, [(name, name) for name in shared])
    del model.graph.value_info[:]  # `height` is not the same in both, and onnxruntime shares buffers by such names
    return model


def _parsed(body: ModelProto, graph: str) -> ModelProto:
    """A model of the body's versions from ONNX's own notation."""
    model: ModelProto = parser.parse_model(
        f'<ir_version: {body.ir_version}, opset_import: ["" : {body.opset_import[0].version}]>\n{graph}'
    )
    return model


def _prelude(body: ModelProto, sizes: str, restored: bool) -> ModelProto:
    """Pixels to images; `sizes` makes `before_shown` of `before_planes` and says `before_whole`, the shape to have."""
    kept = ", int64[2] size" if restored else ""
    return _parsed(
        body,
        f"""prelude (uint8[batch, height, width, 3] pixels) => (float[batch, 3, rows, columns] images{kept}) {{
            before_planes = Transpose <perm = [0, 3, 1, 2]> (pixels)
            size = Shape <start = 2, end = 4> (before_planes)
            before_front = Shape <start = 0, end = 2> (before_planes)
            {sizes}
            before_white = Constant <value_float = 255.0> ()
            images = Div (before_sized, before_white)
        }}""",
    )


def _own_sizes() -> str:
    return "before_sized = Cast <to = 1> (before_planes)"


def _square(spec: TaskSpec) -> str:
    """The central square, at the size of the task's images."""
    height, width = spec.image_shape[1:]
    return f"""
        before_side = ReduceMin <keepdims = 1> (size)
        before_spare = Sub (size, before_side)
        before_two = Constant <value_ints = [2]> ()
        before_begin = Div (before_spare, before_two)
        before_end = Add (before_begin, before_side)
        before_axes = Constant <value_ints = [2, 3]> ()
        before_square = Slice (before_planes, before_begin, before_end, before_axes)
        before_shown = Cast <to = 1> (before_square)
        before_wanted = Constant <value_ints = [{height}, {width}]> ()
        {_resize()}"""


def _map_sizes(spec: TaskSpec, dynamic_size: bool) -> str:
    """All of the picture, at the shorter side of the task's images or at the network's only size."""
    height, width = spec.image_shape[1:]
    wanted = f"before_wanted = Constant <value_ints = [{height}, {width}]> ()"
    if dynamic_size:  # in double precision, as Python reckons it for the images that the network was scored on
        wanted = f"""
            before_double = Cast <to = 11> (size)
            before_least = ReduceMin <keepdims = 1> (before_double)
            before_side = Constant <value = double[1] {{{spec.image_size}}}> ()
            before_factor = Div (before_side, before_least)
            before_exact = Mul (before_double, before_factor)
            before_rounded = Round (before_exact)
            before_one = Constant <value = double[1] {{1}}> ()
            before_enough = Max (before_rounded, before_one)
            before_wanted = Cast <to = 7> (before_enough)"""
    return f"before_shown = Cast <to = 1> (before_planes)\n{wanted}\n{_resize()}"


def _resize() -> str:
    return f"""
        before_whole = Concat <axis = 0> (before_front, before_wanted)
        before_sized = Resize <{ANTIALIASED}> (before_shown, , , before_whole)"""


def _head(body: ModelProto, classes: int, form: Form, maps: bool, restored: bool) -> ModelProto:
    """Logits to answers; maps at the size that the picture came in, `size`, if it was resized."""
    every = "[batch, classes, height, width]" if maps else f"[batch, {classes}]"
    steps = "after_logits = Identity (network_logits)"
    if restored:
        steps = f"""
            after_front = Shape <start = 0, end = 2> (network_logits)
            after_whole = Concat <axis = 0> (after_front, size)
            after_logits = Resize <{BILINEAR}> (network_logits, , , after_whole)"""
    given = f"float{every} network_logits" + (", int64[2] size" if restored else "")
    if form.output == "logits":
        return _parsed(body, f"head ({given}) => (float{every} logits) {{ {steps} logits = Identity (after_logits) }}")
    if form.output == "probabilities":
        softmax = "probabilities = Softmax <axis = 1> (after_logits)"
        return _parsed(body, f"head ({given}) => (float{every} probabilities) {{ {steps} {softmax} }}")
    steps += "\nafter_all = Softmax <axis = 1> (after_logits)"
    if not maps:
        best = min(GUESSES, classes)
        steps += f"""
            after_count = Constant <value_ints = [{best}]> ()
            scores, classes = TopK <axis = 1> (after_all, after_count)"""
        return _parsed(
            body, f"head ({given}) => (int64[batch, {best}] classes, float[batch, {best}] scores) {{ {steps} }}"
        )
    number = "uint8" if classes <= 256 else "int32"
    steps += f"""
        after_index = ArgMax <axis = 1, keepdims = 0> (after_all)
        classes = Cast <to = {2 if number == "uint8" else 6}> (after_index)
        after_axis = Constant <value_ints = [1]> ()
        scores = ReduceMax <keepdims = 0> (after_all, after_axis)"""
    shape = "[batch, height, width]"
    return _parsed(body, f"head ({given}) => ({number}{shape} classes, float{shape} scores) {{ {steps} }}")
