"""Pre- and postprocessing of a file: from pictures of any size, and to the outputs that an application needs.

Both are ONNX graphs that are joined to the network exported by torch. So one exported network serves every form of
file, and only the network is converted to another precision; pre- and postprocessing stay in float32.
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
"""Input of the exported network, float32 `[n, 3, h, w]` in [0, 1], and its output `[n, k, *s]`."""
BILINEAR = 'mode="linear", coordinate_transformation_mode="half_pixel"'


@dataclass(frozen=True)
class Form:
    """The form of a file's input and output."""

    input: Literal["float", "uint8"] = "float"
    """`images`, float32 `[n, 3, h, w]` in [0, 1]; or `pixels`, uint8 `[n, h, w, 3]` of any size, resized inside."""
    output: Literal["logits", "probabilities", "decision"] = "decision"
    """`logits` and `probabilities` are `[n, k, *s]`. A `decision` has two outputs, `classes` and `scores`: a
    classifier's five best classes `[n, 5]`, or the best class of each position `[n, *s]` as uint8 (int32 above 256
    classes), and their probabilities."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in the file's order."""
        return ("classes", "scores") if self.output == "decision" else (self.output,)


def with_processing(body: ModelProto, spec: TaskSpec, form: Form, *, dynamic_size: bool) -> ModelProto:
    """Add pre- and postprocessing to a network with free height and width, or with the size of `spec`.

    Pixels are resized like the task's data. For a classifier, `spec.framing` applies. For a segmenter, the whole
    picture is resized to the shorter side at which it was scored, or to the network's only size; its maps are resized
    back to the picture's size.

    Raises `UsageError` if pixels need an interpolation for which ONNX has no antialiased operator.
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
    """Set a fixed batch size in the inputs and outputs of a file, in place."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch


def _joined(first: ModelProto, second: ModelProto, shared: Sequence[str]) -> ModelProto:
    model: ModelProto = compose.merge_models(first, second, [(name, name) for name in shared])
    del model.graph.value_info[:]  # `height` differs between the graphs, and onnxruntime shares buffers by such names
    return model


def _parsed(body: ModelProto, graph: str) -> ModelProto:
    """Parse a graph in ONNX's text format, with the versions of `body`."""
    model: ModelProto = parser.parse_model(
        f'<ir_version: {body.ir_version}, opset_import: ["" : {opset_of(body)}]>\n{graph}'
    )
    return model


def _steps(spec: TaskSpec, *, maps: bool, dynamic_size: bool) -> str:
    """Nodes that compute `before_sized`, the pixels of the network's input, from `before_planes`."""
    height, width = spec.image_shape[1:]
    if not maps:
        return framed(spec.framing, (height, width))
    if not dynamic_size:
        return framed(WHOLE, (height, width))
    return scaled_to_side(spec.image_size) if spec.image_size else "before_sized = Cast <to = 1> (before_planes)"


def _prelude(body: ModelProto, steps: str, restored: bool) -> ModelProto:
    """The graph from pixels to images; with `restored`, also the picture's size."""
    size_output = ", int64[2] size" if restored else ""
    return _parsed(
        body,
        f"""prelude (uint8[batch, height, width, 3] pixels) => (float[batch, 3, rows, columns] images{size_output}) {{
            before_planes = Transpose <perm = [0, 3, 1, 2]> (pixels)
            size = Shape <start = 2, end = 4> (before_planes)
            before_front = Shape <start = 0, end = 2> (before_planes)
            {steps}
            before_most = Constant <value_float = 255.0> ()
            images = Div (before_sized, before_most)
        }}""",
    )


def _head(body: ModelProto, spec: TaskSpec, form: Form, size: tuple[int, int] | None, restored: bool) -> ModelProto:
    """The graph from logits to outputs; maps have `size` if that is fixed, or with `restored` the picture's size."""
    classes, positions = spec.num_classes, _positions(body, spec, size)
    shape_of_logits = f"[batch, {classes}{positions}]"
    inputs, steps = f"float{shape_of_logits} network_logits", "after_logits = Identity (network_logits)"
    if restored:
        inputs = f"float[batch, {classes}, rows, columns] network_logits, int64[2] size"
        steps = f"""
            after_front = Shape <start = 0, end = 2> (network_logits)
            after_whole = Concat <axis = 0> (after_front, size)
            after_logits = Resize <{BILINEAR}> (network_logits, , , after_whole)"""
    if form.output == "logits":
        output, last = f"float{shape_of_logits} logits", "logits = Identity (after_logits)"
        return _parsed(body, f"head ({inputs}) => ({output}) {{ {steps} {last} }}")
    if form.output == "probabilities":
        output, last = f"float{shape_of_logits} probabilities", "probabilities = Softmax <axis = 1> (after_logits)"
        return _parsed(body, f"head ({inputs}) => ({output}) {{ {steps} {last} }}")
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
    """The declared position axes of logits: numbers if the network has only one size, else names."""
    if spec.name == "segmentation":
        return ", height, width" if size is None else f", {size[0]}, {size[1]}"
    sides = list(body.graph.output[0].type.tensor_type.shape.dim)[2:]
    return "".join(f", {(size and side.dim_value) or f'side{axis}'}" for axis, side in enumerate(sides, 2))


def _best_of_maps(number: str) -> str:
    """Nodes for class maps and their probabilities 1 / Σ exp(x − max), which cost less than a whole softmax.

    The maximum is read at the index of the best class: onnxruntime's quantiser cannot tell the shape of a ReduceMax.
    """
    cast = "classes = Cast <to = 6> (after_best)"
    if number == "uint8":  # through floating point, because TensorRT casts only that to bytes
        cast = "after_number = Cast <to = 1> (after_best)\nclasses = Cast <to = 2> (after_number)"
    return f"""
        after_axis = Constant <value_ints = [1]> ()
        after_index = ArgMax <axis = 1, keepdims = 1> (after_logits)
        after_best = Squeeze (after_index, after_axis)
        {cast}
        after_most = GatherElements <axis = 1> (after_logits, after_index)
        after_less = Sub (after_logits, after_most)
        after_shares = Exp (after_less)
        after_sum = ReduceSum <keepdims = 0> (after_shares, after_axis)
        scores = Reciprocal (after_sum)"""
