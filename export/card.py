"""The metadata of an ONNX file, which suffices to use it without this package or torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.framing import CENTRAL_SQUARE, WHOLE, Framing, Size, scaled
from compress.storage.untrusted import plain_json, require_name, require_pixels

if TYPE_CHECKING:  # the contract needs torch
    from compress.task import TaskSpec

SCHEMA_VERSION = 1
FILE_LIMIT = 2_000_000_000  # bytes; a protobuf message holds no more
CARD_KEY = "compress"
"""The only entry of `metadata_props` that this package reads; the others are for tools that expect these names."""


KNOWN = {
    "input": ("float", "uint8"),
    "output": ("logits", "probabilities", "decision"),
}
"""Allowed values of some fields."""


@dataclass(frozen=True, kw_only=True)
class FileCard:
    """The facts about a network in a file: its outputs, its input, its origin."""

    task: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    """Shape of the task's images, `[3, h, w]`: the input size of classifiers and of files of a fixed size."""
    image_size: int | None
    """The shorter side to which a segmenter's images are resized; None if they keep their size."""
    dynamic_size: bool = True
    """Whether the network takes any height and width."""
    stride: int = 1
    """The file pads height and width to multiples of this."""
    input: str = "float"
    """`float` or `uint8`: see `compress.export.Form`."""
    output: str = "decision"
    """`logits`, `probabilities` or `decision`."""
    framing: Framing = CENTRAL_SQUARE
    """How a classifier's photographs are cropped and resized."""
    precision: str = "fp32"
    fits: tuple[str, ...] = ()
    """Names of the built-in targets that support the file according to their documentation."""
    notes: tuple[str, ...] = ()
    """Notes for users of the file."""
    palette: tuple[tuple[int, int, int], ...] = ()
    ignore_index: int = -1
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Teacher, method, settings and scores, where known."""
    versions: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, spec: TaskSpec, **more: Any) -> FileCard:
        """The card of a network for that task; `more` are the fields that are not part of a task."""
        return cls(
            task=spec.name,
            class_names=spec.class_names,
            image_shape=spec.image_shape,
            image_size=spec.image_size,
            palette=spec.palette,
            ignore_index=spec.ignore_index,
            framing=spec.framing,
            **more,
        )

    def framed(self, picture: Size) -> tuple[Framing, Size]:
        """The framing for a picture of that height and width, and the height and width of the network's image."""
        height, width = self.image_shape[1:]
        if self.task != "segmentation":
            return self.framing, (height, width)
        return WHOLE, scaled(picture, self.image_size) if self.dynamic_size else (height, width)

    def entries(self) -> dict[str, str]:
        """Entries for `metadata_props`: this card as JSON, ONNX's standard keys for images, and keys of other tools."""
        whole = self.input == "uint8"
        flat = {
            "task": {"classification": "classify", "segmentation": "semantic"}.get(self.task, self.task),
            "names": json.dumps(dict(enumerate(self.class_names)), ensure_ascii=False),
            "imgsz": json.dumps(self.image_shape[1:]),
            "stride": str(self.stride),
            "Image.BitmapPixelFormat": "Rgb8",
            "Image.ColorSpaceGamma": "SRGB",
            "Image.NominalPixelRange": "NominalRange_0_255" if whole else "Normalized_0_1",
        }
        return {**flat, CARD_KEY: json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)}

    @classmethod
    def read(cls, entries: Mapping[str, str]) -> FileCard:
        """The card in a file's metadata; raises `ValueError` with what is missing or wrong."""
        if CARD_KEY not in entries:
            raise ValueError("it does not state its task and classes")
        content = plain_json(entries[CARD_KEY])
        if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
            number = content.get("schema_version") if isinstance(content, dict) else None
            if number is None:
                raise ValueError("its card has no version")
            raise ValueError(
                f"its card is of version {number!r:.40}, this version of compress reads {SCHEMA_VERSION}: "
                "use a later one"
            )
        try:
            fields = {key: _frozen(value) for key, value in content.items()}
            if "framing" in fields:  # files of earlier versions have none, and use the central square
                framing = {key: _frozen(value) for key, value in dict(fields["framing"]).items()}
                fields["framing"] = Framing(**framing)
            card = cls(**fields)
        except TypeError as error:
            raise ValueError(f"its card is incomplete: {error}") from error
        card.require_sound()
        return card

    def require_sound(self) -> None:
        """Raise `ValueError` unless all fields that programs use have the right types and lengths."""
        sides = isinstance(self.image_shape, tuple) and len(self.image_shape) == 3
        if not sides or not all(isinstance(side, int) and 0 < side < 1 << 16 for side in self.image_shape):
            raise ValueError(f"its image shape is {self.image_shape!r:.80}")
        require_pixels(*self.image_shape[1:])
        if not _are_texts(self.class_names) or not self.class_names:
            raise ValueError("its class names are not a list of texts")
        for name in self.class_names:
            require_name(name)
        if self.image_size is not None and not _is_number(self.image_size, 1, 1 << 16):
            raise ValueError(f"its image size is {self.image_size!r:.80}")
        require_pixels(self.image_size or 1, self.image_size or 1)
        if not isinstance(self.palette, tuple) or len(self.palette) not in (0, len(self.class_names)):
            raise ValueError(f"its palette does not have a colour for each of its {len(self.class_names)} classes")
        if not all(_is_colour(colour) for colour in self.palette):
            raise ValueError("its palette has an invalid colour")
        if not isinstance(self.task, str) or not _is_number(self.ignore_index, -1, 1 << 16):
            raise ValueError(f"its task is {self.task!r:.80}, its ignored index {self.ignore_index!r:.80}")
        if not _are_texts(self.fits) or not _are_texts(self.notes):
            raise ValueError("its targets or notes are not lists of texts")
        self._require_known()

    def _require_known(self) -> None:
        for field_name, values in KNOWN.items():
            if getattr(self, field_name) not in values:
                raise ValueError(f"its {field_name} is {getattr(self, field_name)!r:.80}, not {' or '.join(values)}")


def is_own_file(path: Path) -> bool:
    """Whether a regular file is an ONNX file with this package's card, of any version."""
    import onnx

    try:
        if path.stat().st_size > FILE_LIMIT:
            return False
        model = onnx.load_model_from_string(path.read_bytes())
    except Exception:  # not an ONNX file, so not ours
        return False
    return any(entry.key == CARD_KEY for entry in model.metadata_props)


def _is_number(value: object, least: int, beyond: int) -> bool:
    return isinstance(value, int) and least <= value < beyond


def _are_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(text, str) for text in value)


def _is_colour(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and all(_is_number(part, 0, 256) for part in value)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
