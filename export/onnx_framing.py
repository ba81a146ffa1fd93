"""The resize and crop of `compress.framing` in ONNX's text format, for files that take pixels of any size.

The resize has two passes, horizontal then vertical, each rounded to whole shades as in Pillow. The network's input
differs from Pillow's result by one or two shades in a few pixels.
"""

from __future__ import annotations

from compress.framing import Framing, Size

RESIZES = {
    "bilinear": 'mode="linear"',
    "bicubic": 'mode="cubic", cubic_coeff_a=-0.5',
}
"""Interpolations that ONNX supports with antialiasing."""
ANTIALIASED = 'coordinate_transformation_mode="half_pixel", antialias=1, exclude_outside=1'
"""Weights are renormalised at the border as in Pillow and torch; otherwise images differ by up to 4 %."""
HALF = 0.501
"""Added before rounding down. Exact halves are common, and with 0.5 rounding errors would decide their direction."""


def framed(framing: Framing, size: Size) -> str:
    """Nodes that compute `before_sized`, float `[n, 3, *size]` of whole shades, from uint8 `before_planes`, whose
    height and width are the value `size`."""
    return f"{_sizes(framing, size)}\n{_resize(framing)}\n{_window(framing, size)}"


def scaled_to_side(side: int) -> str:
    """The same for a resize of the whole picture, in proportion, to the shorter side `side`."""
    steps = f"""
        before_double = Cast <to = 11> (size)
        before_least = ReduceMin <keepdims = 1> (before_double)
        before_side = Constant <value = double[1] {{{side}}}> ()
        before_factor = Div (before_side, before_least)
        before_exact = Mul (before_double, before_factor)
        {_rounded()}"""
    return f"{steps}\n{_resize(Framing())}\nbefore_sized = Identity (before_shown)"


def _sizes(framing: Framing, size: Size) -> str:
    """Nodes that compute `before_resized`, the height and width of the resized picture: see `Framing.geometry`."""
    high, wide = framing.scale_to(size)
    if framing.crop_mode == "squash":
        return f"before_resized = Constant <value_ints = [{high}, {wide}]> ()"
    if framing.crop_mode == "center" and high == wide:
        return f"""
            before_least = ReduceMin <keepdims = 1> (size)
            before_scale = Constant <value_ints = [{high}]> ()
            before_larger = Mul (size, before_scale)
            before_resized = Div (before_larger, before_least)"""
    reduce = "ReduceMax" if framing.crop_mode == "border" else "ReduceMin"
    return f"""
        before_double = Cast <to = 11> (size)
        before_scale = Constant <value = double[2] {{{high}, {wide}}}> ()
        before_ratios = Div (before_double, before_scale)
        before_ratio = {reduce} <keepdims = 1> (before_ratios)
        before_exact = Div (before_double, before_ratio)
        {_rounded()}"""


def _rounded() -> str:
    """Nodes that round in double precision, as Python does."""
    return """before_rounded = Round (before_exact)
        before_one = Constant <value = double[1] {1}> ()
        before_enough = Max (before_rounded, before_one)
        before_resized = Cast <to = 7> (before_enough)"""


def _resize(framing: Framing) -> str:
    attributes = f"{RESIZES[framing.interpolation]}, {ANTIALIASED}"
    return f"""
        before_float = Cast <to = 1> (before_planes)
        before_first = Constant <value_ints = [0]> ()
        before_second = Constant <value_ints = [1]> ()
        before_height = Gather (size, before_first)
        before_width = Gather (before_resized, before_second)
        before_half = Constant <value_float = {HALF}> ()
        before_black = Constant <value_float = 0.0> ()
        before_white = Constant <value_float = 255.0> ()
        before_across_size = Concat <axis = 0> (before_front, before_height, before_width)
        before_across_exact = Resize <{attributes}> (before_float, , , before_across_size)
        before_across_raised = Add (before_across_exact, before_half)
        before_across_whole = Floor (before_across_raised)
        before_across = Clip (before_across_whole, before_black, before_white)
        before_down_size = Concat <axis = 0> (before_front, before_resized)
        before_down_exact = Resize <{attributes}> (before_across, , , before_down_size)
        before_down_raised = Add (before_down_exact, before_half)
        before_down_whole = Floor (before_down_raised)
        before_shown = Clip (before_down_whole, before_black, before_white)"""


def _window(framing: Framing, size: Size) -> str:
    """Nodes that crop the centre of the resized picture, and pad it where it is smaller than the window."""
    if framing.crop_mode == "squash" and framing.scale_to(size) == size:
        return "before_sized = Identity (before_shown)"
    cropped = f"""
        before_window = Constant <value_ints = [{size[0]}, {size[1]}]> ()
        before_spare = Sub (before_resized, before_window)
        before_none = Constant <value_ints = [0]> ()
        before_beyond = Max (before_spare, before_none)
        before_beyond_double = Cast <to = 11> (before_beyond)
        before_two_double = Constant <value = double[1] {{2}}> ()
        before_middle = Div (before_beyond_double, before_two_double)
        before_begin_double = Round (before_middle)
        before_begin = Cast <to = 7> (before_begin_double)
        before_end = Add (before_begin, before_window)
        before_axes = Constant <value_ints = [2, 3]> ()
        before_cropped = Slice (before_shown, before_begin, before_end, before_axes)"""
    if framing.crop_mode != "border":
        return f"{cropped}\nbefore_sized = Identity (before_cropped)"
    return f"""{cropped}
        before_lack = Neg (before_spare)
        before_lacking = Max (before_lack, before_none)
        before_two = Constant <value_ints = [2]> ()
        before_pad = Div (before_lacking, before_two)
        before_pad_end = Sub (before_lacking, before_pad)
        before_neither = Constant <value_ints = [0, 0]> ()
        before_pads = Concat <axis = 0> (before_neither, before_pad, before_neither, before_pad_end)
        before_fill = Constant <value = float[1, 3, 1, 1] {{{", ".join(f"{shade:.1f}" for shade in framing.fill)}}}> ()
        before_emptied = Sub (before_cropped, before_fill)
        before_padded = Pad (before_emptied, before_pads)
        before_sized = Add (before_padded, before_fill)"""
