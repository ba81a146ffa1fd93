"""A model on disk: `config.json`, `model.safetensors` and `README.md`, which timm and SMP load without this package.

The safetensors header also holds a `Card` with task, network, classes and size, so that this file is enough to load
the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from compress.errors import UsageError, first_complaint
from compress.framing import CENTRAL_SQUARE, Framing
from compress.storage.files import write_text, write_with
from compress.storage.marker import FORMAT, require_format
from compress.storage.untrusted import plain_json, require_name, require_pixels
from compress.task import TaskSpec

from ..named_task import find_task
from . import STORED, create_model, fit_weights, read_weights, takes_one_size
from .binary import OneLogit, bare
from .classifier_sharing import ClassifierSharing
from .normalised import NormalisedModel
from .safetensors_header import METADATA, read_header
from .timm_hub import LEAST_DEVIATION
from .torchvision_segmenters import PREFIX, TorchvisionSegmenter
from .weights import fitting

HEADER_KEY = "compress"
Side = Annotated[int, Field(ge=1, le=4096)]
Shade = Annotated[int, Field(ge=0, le=255)]
Name = Annotated[str, AfterValidator(require_name)]


@dataclass(frozen=True, kw_only=True)
class Card:
    """The facts about a saved model, validated against these types and bounds when read."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    task: Name
    network: Name
    data: Name
    class_names: Annotated[tuple[Name, ...], Field(min_length=1, max_length=100_000)]
    image_shape: tuple[Annotated[int, Field(ge=3, le=3)], Side, Side]
    mean: Annotated[tuple[float, ...], Field(min_length=3, max_length=3)]
    std: Annotated[tuple[Annotated[float, Field(ge=LEAST_DEVIATION)], ...], Field(min_length=3, max_length=3)]
    image_size: Side | None = None
    """The shorter side of the data's images, pixels; None if these differ."""
    crop_size: Side | None = None
    """Crop size in pixels for training; None for whole images."""
    palette: tuple[tuple[Shade, Shade, Shade], ...] = ()
    """One RGB colour a class, for pictures of label maps."""
    shared_channels: Annotated[int, Field(ge=0, le=65_536)] = 0
    """Output channels of the projector, if the network has its teacher's classifier; 0 otherwise."""
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    """For a binary segmenter of one logit: a pixel above this probability is of the second class."""
    framing: Framing = CENTRAL_SQUARE
    """How a classifier's photographs are cropped and resized."""
    format: int = FORMAT
    """Format number of this card; cards of version 0.1.0 have none and are read as the first format."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Where a student comes from: teacher, method, settings, scores."""

    @property
    def spec(self) -> TaskSpec:
        """The specification of the model's task."""
        task = find_task(self.task)
        return TaskSpec(
            name=self.task,
            image_shape=self.image_shape,
            class_names=self.class_names,
            metric=task.metric,
            ignore_index=task.ignore_index,
            palette=self.palette,
            image_size=self.image_size,
            framing=self.framing,
        )


_CARDS = TypeAdapter(Card)


def save_model(folder: Path, model: nn.Module, card: Card | None, readme: str) -> None:
    """Write the files of a model folder; without a card (a user's own class), only the weights and the README."""
    network = bare(model.network) if isinstance(model, NormalisedModel) else model
    header = (
        {HEADER_KEY: json.dumps(asdict(card))} if card else None
    )  # one key, because safetensors writes several in random order
    # safetensors refuses tied weights, which share memory
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in network.state_dict().items()}
    write_with(folder / "model.safetensors", lambda path: save_file(tensors, path, metadata=header))
    if card:
        write_text(folder / "config.json", json.dumps(_config(network, card), indent=2) + "\n")
    write_text(folder / "README.md", readme)


def _config(network: nn.Module, card: Card) -> dict[str, Any]:
    """What timm, SMP or torchvision need to load the network; only its name and size if the task defines it."""
    if find_task(card.task).networks:
        return {"task": card.task, "network": card.network, "num_classes": len(card.class_names)}
    return _timm_config(network, card) if card.task == "classification" else _segmenter_config(network, card)


def _timm_config(network: nn.Module, card: Card) -> dict[str, Any]:
    pretrained = {
        "mean": card.mean,
        "std": card.std,
        "input_size": card.image_shape,
        "num_classes": len(card.class_names),
        "crop_pct": card.framing.crop_pct,
        "crop_mode": card.framing.crop_mode,
        "interpolation": card.framing.interpolation,
    }
    return {
        "architecture": card.network,
        "num_classes": len(card.class_names),
        "num_features": getattr(network, "num_features", None),
        "label_names": list(card.class_names),
        "model_args": {"img_size": card.image_shape[1:]} if takes_one_size(network) else {},
        "pretrained_cfg": pretrained,
    }


def _segmenter_config(network: nn.Module, card: Card) -> dict[str, Any]:
    """What `smp.from_pretrained` needs (the class and the constructor's arguments), or torchvision's name."""
    if isinstance(network, TorchvisionSegmenter):
        outputs = len(card.class_names) if card.threshold is None else 1
        return {"torchvision": card.network.removeprefix(PREFIX), "num_classes": outputs}
    config: Any = network.config  # SMP's constructors store their arguments there
    return {**config, "_model_class": type(network).__name__, "encoder_weights": None}


def load_model(path: Path) -> tuple[NormalisedModel, Card]:
    """Load a saved model in evaluation mode, from a run directory, a model folder or a safetensors file.

    Raises `UsageError` if there is no model, if it is broken, or if this package did not write it.
    """
    file = weights_file(path)
    card = _read_card(file)
    tensors = read_weights(file)
    _require_network(card, tensors, str(file))
    network = _network(card)
    fit_weights(network, tensors, str(file))
    answering = network if card.threshold is None else OneLogit(network, card.threshold)
    return NormalisedModel(answering, card.mean, card.std).eval(), card


def _network(card: Card) -> nn.Module:
    outputs = len(card.class_names) if card.threshold is None else 1
    network = create_model(card.task, card.network, outputs, card.image_shape[1:]).network
    if card.shared_channels:
        network = ClassifierSharing(network, card.image_shape, card.shared_channels, len(card.class_names))
    return network


def _require_network(card: Card, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Raise `UsageError` unless the weights fit the card's network, before memory is allocated for it.

    SMP's transformers, the largest of which has 81 million parameters, cannot be built on the meta device.
    """
    try:
        with torch.device("meta"):
            sketch = _network(card)
    except UsageError:
        return
    fitting(sketch, tensors, origin)


def weights_file(path: Path) -> Path:
    """The weights file of a run directory, a model folder or a file; raises `UsageError` if there is none."""
    file = own_weights(path)
    if file is None:
        raise UsageError(f"no model at {path}: a run directory, a student directory or a .safetensors file is expected")
    return file


def own_weights(path: Path) -> Path | None:
    """The weights file that this package wrote for a run or a model, or `path` itself if it is a file; else None."""
    candidates = (path / "student" / "model.safetensors", path / "model.safetensors", path)
    return next((file for file in candidates if file.is_file()), None)


def card_in(path: Path) -> Card | None:
    """The card of a model that this package wrote, in a file or its folder; None for other files.

    Raises `UsageError` for a broken card.
    """
    file = path / "model.safetensors" if path.is_dir() else path
    if file.suffix != ".safetensors" or not file.is_file():
        return None
    try:
        text = read_header(file).get(METADATA, {}).get(HEADER_KEY)
    except (OSError, ValueError, TypeError):
        return None
    return None if text is None else _read_card(file)


def _read_card(file: Path) -> Card:
    try:
        text = read_header(file).get(METADATA, {}).get(HEADER_KEY)
        if text is not None:
            table = plain_json(text)  # which detects duplicate names
            require_format(table.get("format", FORMAT) if isinstance(table, dict) else FORMAT, f"the card of {file}")
        card = None if text is None else _CARDS.validate_json(text, strict=True)
    except ValidationError as error:
        reason = f"its card is wrong, {first_complaint(error)}"
        raise UsageError(f"cannot read {file}: {reason}; it is broken or was not written by compress") from error
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"cannot read {file}: {error}; it is broken or was not written by compress") from error
    if card is None:
        raise UsageError(
            f"{file} does not name its network: load weights of your own class with its load_state_dict(), "
            "or use the ONNX file of its run"
        )
    try:
        require_pixels(*card.image_shape[1:])
    except ValueError as error:
        raise UsageError(f"cannot read {file}: {error}; it is broken or was not written by compress") from error
    find_task(card.task)  # imports the task's code now: `_require_network` builds on the meta device
    if any(prefix in card.network for prefix in STORED):
        raise UsageError(f"{file} names a network stored elsewhere, {card.network}: only names of timm are accepted")
    if len(card.palette) not in (0, len(card.class_names)):
        raise UsageError(f"{file} has {len(card.palette)} colours for {len(card.class_names)} classes: it is broken")
    return card
