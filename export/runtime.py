"""Run an ONNX file on pictures. Needs numpy, Pillow and onnxruntime, but neither torch nor timm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from compress.errors import UsageError, first_line
from compress.framing import upright

from .card import FileCard
from .output_checks import complaint_of
from .providers import start

Array = NDArray[Any]
Picture = Image.Image | Array
"""A Pillow image, or uint8 RGB `[h, w, 3]`."""
SLACK = 0.01
"""How far float images may exceed [0, 1], because bicubic resizing overshoots."""
BATCH_PIXELS = 20_000_000
"""Most pixels of pictures that are run together, to limit memory."""
MOST_AT_ONCE = 1024
"""Largest fixed batch of a file."""
GUESSES = 5
"""Number of classes in a classifier's decision."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The network's decision for one picture."""

    classes: Array
    """A classifier's best classes `[t]`, the best first, or a class map `[h, w]` of the picture's size."""
    scores: Array
    """Their probabilities, of the same shape."""
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of a classifier's best classes, the best first, or of the classes that occur in a map."""
        shown = self.classes if self.classes.ndim == 1 else np.unique(self.classes)
        return tuple(self.class_names[index] for index in shown.tolist())

    def picture(self) -> Image.Image:
        """A class map in the colours of its classes; raises `UsageError` for a classifier's decision."""
        if self.classes.ndim != 2 or not self.palette:
            raise UsageError("a classifier's decision has no picture; only class maps with a palette have one")
        return Image.fromarray(np.asarray(self.palette, dtype=np.uint8)[self.classes])


class OnnxModel:
    """A file written by `compress export`, in an onnxruntime session.

    `provider` is `cpu`, `cuda` or `tensorrt`; `options` are onnxruntime's options for it. Raises `UsageError` if the
    file cannot be loaded or does not have this package's card, or if the provider does not start.
    """

    def __init__(self, path: str | Path, *, provider: str = "cpu", options: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self._session = start(self.path, provider, options or {})
        try:
            self.card = FileCard.read(self._session.get_modelmeta().custom_metadata_map)
        except ValueError as error:
            raise UsageError(
                f"cannot use {path}: {error}; only files written by `compress export` have a card"
            ) from error
        self.provider: str = self._session.get_providers()[0]
        inputs, self._names = self._session.get_inputs(), [output.name for output in self._session.get_outputs()]
        expected = ["classes", "scores"] if self.card.output == "decision" else [self.card.output]
        if len(inputs) != 1 or self._names != expected:
            actual = f"has {len(inputs)} inputs and the outputs {', '.join(self._names)}"
            raise UsageError(f"cannot use {path}: it {actual}, its card says {expected[0]}; export it again")
        self._input = inputs[0]
        if self.batch is not None and not 0 < self.batch <= MOST_AT_ONCE:
            raise UsageError(f"cannot use {path}: its batch is {self.batch}, at most {MOST_AT_ONCE} is supported")

    def ports(self) -> list[tuple[str, str, list[int | str]]]:
        """Name, onnxruntime's type and shape of the input and of each output; free axes have names."""
        return [(port.name, port.type, port.shape) for port in (self._input, *self._session.get_outputs())]

    @property
    def batch(self) -> int | None:
        """The fixed batch size; None if it is free."""
        first = self._input.shape[0]
        return first if isinstance(first, int) else None

    def run(self, images: Array) -> dict[str, Array]:
        """The file's outputs by name for one batch of its own input: `images` or `pixels`, see `compress.export.Form`.

        A file of a fixed batch runs several times if needed. Raises `UsageError` for another type, rank or size, and
        for values outside [0, 1] or NaN.
        """
        self._require_fit(images)
        if self.batch is None:
            outputs = self._run(images)
        else:
            parts = [self._run(part) for part in _of_batch(images, self.batch)]
            outputs = [np.concatenate(values)[: len(images)] for values in zip(*parts, strict=True)]
        by_name = dict(zip(self._names, outputs, strict=True))
        self._require_valid(by_name, len(images))
        return by_name

    def _run(self, images: Array) -> list[Array]:
        try:
            inputs = {self._input.name: np.ascontiguousarray(images)}
            return [np.asarray(value) for value in self._session.run(self._names, inputs)]
        except Exception as error:  # onnxruntime's exceptions share no public base class
            raise UsageError(f"onnxruntime fails on images {list(images.shape)}: {first_line(error)}") from error

    def _require_valid(self, outputs: Mapping[str, Array], count: int) -> None:
        """Raise `UsageError` unless the outputs are valid for `count` images: see `complaint_of`."""
        complaint = complaint_of(outputs, self.card, count)
        if complaint:
            raise UsageError(f"the file {self.path} {complaint}; export it again")

    def as_input(self, images: Array) -> Array:
        """Images float32 `[n, 3, h, w]` in [0, 1] as the file's own input, `images` or `pixels`."""
        return own_input(images, self.card)

    def bound(self, images: Array) -> Callable[[], None]:
        """A function that runs the file on one batch of its own input, with input and outputs kept on the device.

        Raises `UsageError` for a batch size other than the file's fixed one.
        """
        if self.batch not in (None, len(images)):
            raise UsageError(f"{self.path} has the fixed batch {self.batch}, not {len(images)}")
        device = "cpu" if self.provider == "CPUExecutionProvider" else "cuda"
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._input.name, ort.OrtValue.ortvalue_from_numpy(images, device, 0))
        for name in self._names:
            binding.bind_output(name, device)

        def once() -> None:
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        return once

    def __call__(self, pictures: Picture | Sequence[Picture], batch: int = 16) -> list[Decision]:
        """A decision for each picture of any size; pictures of equal size are run together, at most `batch`.

        Raises `UsageError` for objects that are not pictures.
        """
        listed = [pictures] if isinstance(pictures, (Image.Image, np.ndarray)) else list(pictures)
        photographs = [as_photograph(picture) for picture in listed]
        whole = self.card.input == "uint8"
        arrays = [np.asarray(shown) if whole else prepared(shown, self.card) for shown in photographs]
        decisions: dict[int, Decision] = {}
        for places in _batches_of_one_shape(arrays, batch):
            classes, scores = decided(self.run(np.stack([arrays[place] for place in places])))
            for row, place in enumerate(places):
                decisions[place] = decision(classes[row], scores[row], photographs[place].size, self.card)
        return [decisions[place] for place in range(len(arrays))]

    def _require_fit(self, images: Array) -> None:
        whole = self.card.input == "uint8"
        expected = "uint8 [n, h, w, 3]" if whole else f"float32 {self._input.shape}, RGB in [0, 1]"
        if not isinstance(images, np.ndarray) or images.dtype != (np.uint8 if whole else np.float32):
            actual = f"{images.dtype} {list(images.shape)}" if isinstance(images, np.ndarray) else type(images).__name__
            raise UsageError(f"images are {actual}: give a numpy array, {expected}")
        fixed = {axis: side for axis, side in enumerate(self._input.shape) if axis and isinstance(side, int)}
        if images.ndim != 4 or any(images.shape[axis] != side for axis, side in fixed.items()):
            raise UsageError(f"images have the shape {list(images.shape)}: give {expected}")
        if not images.size:
            raise UsageError(f"images have the shape {list(images.shape)}, which is empty: give at least one")
        if not whole and not (images.min() >= -SLACK and images.max() <= 1 + SLACK):
            raise UsageError(f"images reach from {images.min():.4g} to {images.max():.4g}: give numbers in [0, 1]")


def own_input(images: Array, card: FileCard) -> Array:
    """Images float32 `[n, 3, h, w]` in [0, 1] as the input of a file with that card: unchanged, or as uint8 pixels."""
    if card.input == "float":
        return images
    return np.ascontiguousarray((images * 255).round().astype(np.uint8).transpose(0, 2, 3, 1))


def prepared(photograph: Image.Image, card: FileCard) -> Array:
    """The picture resized and cropped for the network, float32 `[3, h, w]` in [0, 1]: see `FileCard.framed`."""
    framing, size = card.framed((photograph.height, photograph.width))
    shown = framing.image(photograph, size)
    return np.asarray(shown, dtype=np.float32).transpose(2, 0, 1) / 255


def decided(outputs: Mapping[str, Array]) -> tuple[Array, Array]:
    """`classes` and `scores` from any of the three forms of output: see `compress.export.Form`."""
    if "classes" in outputs:
        return outputs["classes"], outputs["scores"]
    probabilities = outputs["probabilities"] if "probabilities" in outputs else _softmax(outputs["logits"])
    if probabilities.ndim > 2:
        return probabilities.argmax(axis=1), probabilities.max(axis=1)
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :GUESSES]
    return best, np.take_along_axis(probabilities, best, axis=1)


def decision(classes: Array, scores: Array, size: tuple[int, int], card: FileCard) -> Decision:
    """One picture's decision; a map is resized to `size`, width and height, with nearest-neighbour interpolation."""
    if card.task == "segmentation" and classes.shape[::-1] != size:
        number = np.uint8 if len(card.class_names) <= 256 else np.int32  # Pillow's channels
        classes, scores = (
            np.asarray(Image.fromarray(values).resize(size, Image.Resampling.NEAREST))
            for values in (classes.astype(number), scores)
        )
    return Decision(classes=classes, scores=scores, class_names=card.class_names, palette=card.palette)


def _softmax(logits: Array) -> Array:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def as_photograph(picture: Picture) -> Image.Image:
    """The picture in RGB, rotated by its EXIF orientation; raises `UsageError` for anything but a Pillow image or
    uint8 `[h, w, 3]`."""
    if isinstance(picture, Image.Image):
        return upright(picture).convert("RGB")
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        actual = f"{picture.dtype} {list(picture.shape)}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise UsageError(f"a picture is {actual}: give a Pillow image or a numpy array, uint8 [h, w, 3]")
    if not picture.size:
        raise UsageError(f"a picture has the shape {list(picture.shape)}, which is empty")
    return Image.fromarray(picture)


def _of_batch(images: Array, batch: int) -> Iterator[Array]:
    """The images in batches of exactly `batch`; the last image is repeated to fill the last batch."""
    for first in range(0, len(images), batch):
        part = images[first : first + batch]
        yield np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])


def _batches_of_one_shape(arrays: Sequence[Array], batch: int) -> list[list[int]]:
    """Indices of arrays of equal shape, at most `batch` in each list."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for place, array in enumerate(arrays):
        by_shape.setdefault(array.shape, []).append(place)
    together = {shape: max(min(batch, BATCH_PIXELS // max(max(shape) * sorted(shape)[-2], 1)), 1) for shape in by_shape}
    return [
        places[at : at + together[shape]]
        for shape, places in by_shape.items()
        for at in range(0, len(places), together[shape])
    ]
