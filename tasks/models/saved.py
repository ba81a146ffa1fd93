"""A model on disk: `config.json`, `model.safetensors` and `README.md`, which timm and SMP load without this package.

The safetensors header also carries a `Card`, so that the one file says what it is: task, network, classes, size.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from compress.errors import UsageError
from compress.files import write_text, write_with
from compress.task import IGNORE_INDEX, NOTHING_IGNORED, TaskSpec

from . import create_model, fit_weights, read_weights, takes_one_size
from .normalised import NormalisedModel
from .sharing import ClassifierSharing
from .torchvision_segmenters import PREFIX, TorchvisionSegmenter

HEADER_KEY = "compress"


@dataclass(frozen=True)
class Card:
    """What a saved model is."""

    task: str
    network: str
    data: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int | None = None
    """The shorter side of the data's images, pixels; None if these differ."""
    crop_size: int | None = None
    """The side of the squares of them that it was trained on; None if these were whole images."""
    palette: tuple[tuple[int, int, int], ...] = ()
    """One RGB colour a class, for pictures of label maps."""
    shared_channels: int = 0
    """Channels that the projector leads to, where the network answers with its teacher's classifier; 0 elsewhere."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Where a student comes from: teacher, method, settings, scores."""

    @property
    def spec(self) -> TaskSpec:
        """The task that the model is for."""
        classifies = self.task == "classification"
        return TaskSpec(
            name=self.task,
            image_shape=self.image_shape,
            class_names=self.class_names,
            metric="top1" if classifies else "miou",
            ignore_index=NOTHING_IGNORED if classifies else IGNORE_INDEX,
            palette=self.palette,
            image_size=self.image_size,
        )


def save_model(folder: Path, model: nn.Module, card: Card | None, readme: str) -> None:
    """Write the three files of a model directory; weights and README only without a card, for a user's own class."""
    network = model.network if isinstance(model, NormalisedModel) else model
    header = {HEADER_KEY: json.dumps(asdict(card))} if card else None  # one key: their order in the file is random
    # safetensors refuses tied weights, which share memory
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in network.state_dict().items()}
    write_with(folder / "model.safetensors", lambda path: save_file(tensors, path, metadata=header))
    if card:
        config = _timm_config(network, card) if card.task == "classification" else _segmenter_config(network, card)
        write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
    write_text(folder / "README.md", readme)


def _timm_config(network: nn.Module, card: Card) -> dict[str, Any]:
    pretrained = {
        "mean": card.mean,
        "std": card.std,
        "input_size": card.image_shape,
        "num_classes": len(card.class_names),
    }
    return {
        "architecture": card.network,
        "num_classes": len(card.class_names),
        "num_features": getattr(network, "num_features", None),
        "label_names": list(card.class_names),
        "model_args": {"img_size": card.image_shape[1:]} if takes_one_size(network) else {},
        "pretrained_cfg": {**pretrained, "interpolation": "bilinear", "crop_pct": 1.0},
    }


def _segmenter_config(network: nn.Module, card: Card) -> dict[str, Any]:
    """What `smp.from_pretrained` needs, the class and the arguments it was made with; or torchvision's name."""
    if isinstance(network, TorchvisionSegmenter):
        return {"torchvision": card.network.removeprefix(PREFIX), "num_classes": len(card.class_names)}
    config: Any = network.config  # the mapping that SMP's constructors leave
    return {**config, "_model_class": type(network).__name__, "encoder_weights": None}


def load_model(path: Path) -> tuple[NormalisedModel, Card]:
    """A saved model in evaluation mode, from its run directory, its own directory or its safetensors file.

    Raises `UsageError` if there is none, if it is broken, or if it was not written by this package.
    """
    file = weights_file(path)
    card = _read_card(file)
    network = create_model(card.task, card.network, len(card.class_names), card.image_shape[1:]).network
    if card.shared_channels:
        network = ClassifierSharing(network, card.image_shape, card.shared_channels, len(card.class_names))
    model = NormalisedModel(network, card.mean, card.std)
    fit_weights(model.network, read_weights(file), str(file))
    return model.eval(), card


def weights_file(path: Path) -> Path:
    """Where the weights are of a run directory, a model's own directory or a file; raises `UsageError` if nowhere."""
    places = (path / "student" / "model.safetensors", path / "model.safetensors", path)
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise UsageError(f"no model at {path}: a run directory, a student directory or a .safetensors file is expected")
    return file


def _read_card(file: Path) -> Card:
    try:
        with safe_open(file, framework="pt") as opened:
            text = (opened.metadata() or {}).get(HEADER_KEY)
        fields = json.loads(text) if text else None
        if fields is None:
            raise UsageError(
                f"{file} does not say what network it is: weights of your own class load with its load_state_dict(), "
                "and the ONNX file of its run can be evaluated"
            )
        return Card(**{key: _without_lists(value) for key, value in fields.items()})
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise UsageError(f"cannot read {file}: {error}; it is broken or was not written by compress") from error


def _without_lists(value: Any) -> Any:
    return tuple(map(_without_lists, value)) if isinstance(value, list) else value
