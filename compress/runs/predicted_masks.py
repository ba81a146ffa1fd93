"""The files that a segmenter's prediction is written to: an overlay, and masks in several formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from compress.export import Decision
from compress.storage.files import write_with
from compress.tasks.overlay import overlay

MaskFormat = Literal["index", "rgb", "polygons"]
"""`index`: NAME.classes.png, class numbers with the palette; `rgb`: NAME.colours.png; `polygons`: all in COCO_FILE."""
COCO_FILE = "polygons.json"
ENDINGS = (".png", ".classes.png", ".colours.png")
"""Of a photograph's answers."""


def write_masks(
    photograph: Image.Image, decision: Decision, stem: Path, formats: Sequence[MaskFormat]
) -> dict[str, Any]:
    """Write the picture and the masks of one photograph, `stem` and its endings; returns the share of each class."""
    classes = decision.classes.astype(np.uint8)
    stem.parent.mkdir(parents=True, exist_ok=True)
    pictures = {".png": overlay(photograph, classes, decision.class_names, decision.palette)}
    if "index" in formats:
        indexed = Image.fromarray(classes)
        indexed.putpalette([value for colour in (*decision.palette, *[(0, 0, 0)] * 256)[:256] for value in colour])
        pictures[".classes.png"] = indexed
    if "rgb" in formats:
        pictures[".colours.png"] = Image.fromarray(np.array(decision.palette, np.uint8)[classes])
    for ending, picture in pictures.items():
        write_with(stem.with_name(f"{stem.name}{ending}"), _writer(picture))
    counts = np.bincount(classes.ravel(), minlength=len(decision.class_names))
    shares = dict(zip(decision.class_names, (counts / classes.size).tolist(), strict=True))
    return {"shares": shares, "confidence": float(decision.scores.mean())}


def _writer(picture: Image.Image) -> Any:
    return lambda path: picture.save(path, format="PNG")
