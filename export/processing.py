"""What stands before and behind the network in a file: pictures of any size in, an application's answers out.

Both are written in ONNX itself and joined to the network that torch exported: one exported network serves every form of
file, and it alone is made smaller, while they work in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from onnx import ModelProto, compose, parser

from compress.errors import UsageError
from compress.framing import WHOLE
from compress.task import TaskSpec

from .onnx_framing import RESIZES, framed, scaled_to_side
from .portable import make_portable, opset_of
from .runtime import GUESSES

BODY_INPUT, BODY_OUTPUT = "images", "network_logits"
"""What the exported network takes, float32 `[n, 3, h, w]` in [0, 1], and gives, `[n, k, *s]`."""
BILINEAR = 'mode="linear", coordinate_transformation_mode="half_pixel"'


@dataclass(frozen=True)
class Form:
    """What a file takes and what it answers with."""

    input: Literal["float", "uint8"] = "float"
    """`images`, float32 `[n, 3, h, w]` in [0, 1]; or `pixels`, uint8 `[n, h, w, 3]` of any size, resized inside."""
    output: Literal["logits", "probabilities", "decision"] = "decision"
    """The first two are `[n, k, *s]`; a decision is `classes` and `scores`: a classifier's five best `[n, 5]`, or for
    other tasks the best class of each position `[n, *s]`, one byte each (four beyond 256 classes), and its
    probability."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """In the order of the file's outputs."""
        return ("classes", "scores") if self.output == "decision" else (self.output,)


def with_processing(body: ModelProto, spec: TaskSpec, form: Form, *, dynamic_size: bool) -> ModelProto:
    """The file in the form that is asked for, around a network with free height and width or one of `spec`'s size.

    Raises `UsageError` where pixels would have to be resized in a way that ONNX has no antialiased operator for.

    Pictures of other sizes are resized as the task's data are: for a classifier as `spec.framing` says, for a segmenter
    whole, at the shorter side that it was scored at or at its only size; its maps are brought back to their own size.
    """
    maps = spec.name == "segmentation"
    resized = form.input == "uint8" and (not maps or not dynamic_size or spec.image_size is not None)
    restored = maps and resized
    if form.input == "uint8" and not maps and spec.framing.interpolation not in RESIZES:
        raise UsageError(
            f"a file with uint8 input cannot resize by {spec.framing.interpolation} interpolation inside: "
            f"export with input float, or choose {' or '.join(RESIZES)} interpolation"
        )
    model = body
    if form.input == "uint8":
        steps = _steps(spec, maps=maps, dynamic_size=dynamic_size)
        model = _joined(_prelude(body, steps, restored), model, [BODY_INPUT])
    size = None if dynamic_size or restored else spec.image_shape[1:]
    head = _head(body, spec, form, size, restored)
    model = _joined(model, head, [BODY_OUTPUT, "size"] if restored else [BODY_OUTPUT])
    make_portable(model)
    return model


def fix_batch(model: ModelProto, batch: int) -> None:
    """Change a file in place to take and answer so many images at once: what it computes stays."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch


def _joined(first: ModelProto, second: ModelProto, shared: Sequence[str]) -> ModelProto:
    model: ModelProto = compose.merge_models(first, second, [(name, name) for name in shared])
    del model.graph.value_info[:]  # `height` is not the same in both, and onnxruntime shares buffers by such names
    return model


def _parsed(body: ModelProto, graph: str) -> ModelProto:
    """A model of the body's versions from ONNX's own notation."""
    model: ModelProto = parser.parse_model(
        f'<ir_version: {body.ir_version}, opset_import: ["" : {opset_of(body)}]>\n{graph}'
    )
    return model


def _steps(spec: TaskSpec, *, maps: bool, dynamic_size: bool) -> str:
    """What makes of `before_planes` the pixels `before_sized` that the network sees."""
    height, width = spec.image_shape[1:]
    if not maps:
        return framed(spec.framing, (height, width))
    if not dynamic_size:
        return framed(WHOLE, (height, width))
    return scaled_to_side(spec.image_size) if spec.image_size else "before_sized = Cast <to = 1> (before_planes)"


def _prelude(body: ModelProto, steps: str, restored: bool) -> ModelProto:
    """Pixels to images."""
    kept = ", int64[2] size" if restored else ""
    return _parsed(
        body,
        f"""prelude (uint8[batch, height, width, 3] pixels) => (float[batch, 3, rows, columns] images{kept}) {{
            before_planes = Transpose <perm = [0, 3, 1, 2]> (pixels)
            size = Shape <start = 2, end = 4> (before_planes)
            before_front = Shape <start = 0, end = 2> (before_planes)
            {steps}
            before_most = Constant <value_float = 255.0> ()
            images = Div (before_sized, before_most)
        }}""",
    )


def _head(body: ModelProto, spec: TaskSpec, form: Form, size: tuple[int, int] | None, restored: bool) -> ModelProto:
    """Logits to answers; maps of `size` if that is fixed, of the picture's own size if it was resized."""
    classes, positions = spec.num_classes, _positions(body, spec, size)
    every = f"[batch, {classes}{positions}]"
    inputs, steps = f"float{every} network_logits", "after_logits = Identity (network_logits)"
    if restored:
        inputs = f"float[batch, {classes}, rows, columns] network_logits, int64[2] size"
        steps = f"""
            after_front = Shape <start = 0, end = 2> (network_logits)
            after_whole = Concat <axis = 0> (after_front, size)
            after_logits = Resize <{BILINEAR}> (network_logits, , , after_whole)"""
    if form.output == "logits":
        return _parsed(body, f"head ({inputs}) => (float{every} logits) {{ {steps} logits = Identity (after_logits) }}")
    if form.output == "probabilities":
        softmax = "probabilities = Softmax <axis = 1> (after_logits)"
        return _parsed(body, f"head ({inputs}) => (float{every} probabilities) {{ {steps} {softmax} }}")
    if spec.name == "classification":
        best = min(GUESSES, classes)
        steps += f"""
            after_all = Softmax <axis = 1> (after_logits)
            after_count = Constant <value_ints = [{best}]> ()
            scores, classes = TopK <axis = 1> (after_all, after_count)"""
        return _parsed(
            body, f"head ({inputs}) => (int64[batch, {best}] classes, float[batch, {best}] scores) {{ {steps} }}"
        )
    number, shape = "uint8" if classes <= 256 else "int32", f"[batch{positions}]"
    return _parsed(
        body, f"head ({inputs}) => ({number}{shape} classes, float{shape} scores) {{ {steps} {_best_of_maps(number)} }}"
    )


def _positions(body: ModelProto, spec: TaskSpec, size: tuple[int, int] | None) -> str:
    """The declared axes of logits behind the classes: numbers where the network has only one size."""
    if spec.name == "segmentation":
        return ", height, width" if size is None else f", {size[0]}, {size[1]}"
    sides = list(body.graph.output[0].type.tensor_type.shape.dim)[2:]
    return "".join(f", {(size and side.dim_value) or f'side{axis}'}" for axis, side in enumerate(sides, 2))


def _best_of_maps(number: str) -> str:
    """Class maps, and the probability 1 / Σ exp(x − max) of what they show: a softmax over all classes costs more."""
    cast = "classes = Cast <to = 6> (after_index)"
    if number == "uint8":  # by way of floating point, from which alone TensorRT makes bytes
        cast = "after_number = Cast <to = 1> (after_index)\nclasses = Cast <to = 2> (after_number)"
    return f"""
        after_axis = Constant <value_ints = [1]> ()
        after_index = ArgMax <axis = 1, keepdims = 0> (after_logits)
        {cast}
        after_most = ReduceMax <keepdims = 1> (after_logits, after_axis)
        after_less = Sub (after_logits, after_most)
        after_shares = Exp (after_less)
        after_sum = ReduceSum <keepdims = 0> (after_shares, after_axis)
        scores = Reciprocal (after_sum)"""
