"""labels.json: inputs, outputs, preprocessing and classes of a file, for programs in any language."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from compress.framing import WHOLE

from .card import FileCard
from .runtime import OnnxModel

SCHEMA_VERSION = 1
TYPES = {
    "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8", "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}  # fmt: skip
"""numpy's names for onnxruntime's types."""


def labels_of(model: OnnxModel) -> dict[str, Any]:
    """The content of labels.json: classes with colours, the input, the preprocessing of pictures, and the outputs.

    In `shape`, a free axis has its name in place of a number.
    """
    card = model.card
    input_port, *output_ports = [
        {"name": name, "type": TYPES[kind], "shape": shape} for name, kind, shape in model.ports()
    ]
    colours: Iterable[Any] = card.palette or [None] * len(card.class_names)
    classes = [
        {"id": index, "name": name, "colour": colour and list(colour)}
        for index, (name, colour) in enumerate(zip(card.class_names, colours, strict=True))
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "task": card.task,
        "precision": card.precision,
        "classes": classes,
        "ignored_label": card.ignore_index if card.ignore_index >= 0 else None,
        "input": input_port | {"channels": "RGB", "range": [0, 255] if card.input == "uint8" else [0, 1]},
        "preprocessing": preparation_of(card),
        "output": card.output,
        "outputs": output_ports,
    }


def preparation_of(card: FileCard) -> dict[str, Any]:
    """The preprocessing of a picture, as JSON: see `FileCard.framed`.

    `mode` is `none`; `shorter side`, which resizes the shorter side to `shorter` in proportion; or `center`, `squash`
    or `border`, which resize the picture to `resize` and crop it to `size`. Sizes are height and width.
    """
    upright = {"orientation": "as EXIF says", "scale": None if card.input == "uint8" else 1 / 255}
    size = card.image_shape[1:]
    free = card.task == "segmentation" and card.dynamic_size
    if card.input == "uint8" or (free and card.image_size is None):
        return {"mode": "none", **upright}
    if free:
        return {"mode": "shorter side", "shorter": card.image_size, "interpolation": WHOLE.interpolation, **upright}
    framing = WHOLE if card.task == "segmentation" else card.framing
    return {
        "mode": framing.crop_mode,
        "resize": list(framing.scale_to(size)),
        "size": list(size),
        "interpolation": framing.interpolation,
        "fill": list(framing.fill),
        **upright,
    }


def in_words(preparation: dict[str, Any]) -> str:
    """The preprocessing as a sentence."""
    steps = ["rotated by its EXIF orientation", "converted to RGB"]
    match preparation["mode"]:
        case "none":
            steps.append("of any size (the file resizes it)" if not preparation["scale"] else "kept at its own size")
        case "shorter side":
            steps.append(f"resized in proportion to a shorter side of {preparation['shorter']} pixels")
        case mode:
            tall, wide = preparation["resize"]
            resized = {
                "center": f"resized in proportion so that it covers {wide}x{tall} pixels",
                "squash": f"resized to {wide}x{tall} pixels",
                "border": f"resized in proportion to fit into {wide}x{tall} pixels",
            }[mode]
            tall, wide = preparation["size"]
            cropped = f"cropped to the central {wide}x{tall}"
            padded = f"{cropped}, padded with RGB {tuple(preparation['fill'])}"
            steps += [resized, padded if mode == "border" else cropped]
    if "interpolation" in preparation:
        steps.append(f"with Pillow's antialiased {preparation['interpolation']} interpolation")
    steps.append("divided by 255" if preparation["scale"] else "kept as bytes")
    return f"A picture is {', '.join(steps)}. Mean and deviation are inside the file."
