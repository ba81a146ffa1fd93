"""What is known of a trained network before it is built and before an image is read: the teacher as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from compress.framing import CENTRAL_SQUARE, Framing

Colours = tuple[float, float, float]
"""A number a channel, RGB."""


@dataclass(frozen=True, kw_only=True)
class WeightChoice:
    """What a user says of a file of weights that can be read in more than one way."""

    key: str | None = None
    """Where in the file the weights lie, `state_dict_ema`; None looks for them."""
    match: Literal["name", "order"] = "name"
    """Whether tensors are put into the network by their names or by their order."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of the network's constructor, beside what its name says: `encoder_output_stride` 16."""


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A network by name, its weights, and how its images were prepared when it was trained."""

    name: str
    """Its architecture, or the place that it comes from whole."""
    origin: str
    """Where that was read, for messages: a file, a folder, or the name."""
    task: str = "classification"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """All that its network is made with beside its name and classes: said, read beside the weights, or inferred."""
    weights: Mapping[str, Tensor] | None = None
    """Tensors of its file by their paths there; None where the name brings them, or nothing does."""
    choice: WeightChoice = field(default_factory=WeightChoice)
    classes: int | None = None
    """How many it tells apart; None if only the data can say."""
    threshold: float | None = None
    """Of one that tells two classes apart by one logit: from which probability a pixel is the second; else None."""
    class_names: tuple[str, ...] | None = None
    """In the order of its answers; None if nothing says them."""
    image_size: int | None = None
    """The side of its images, pixels; None if it takes any."""
    mean: Colours | None = None
    """By channel, of images in [0, 1]; None leaves it to the network, as `std`."""
    std: Colours | None = None
    framing: Framing = CENTRAL_SQUARE
    notes: tuple[str, ...] = ()
    """What was decided in reading it, a line each, for whoever asked for it."""
