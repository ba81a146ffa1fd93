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
    """Tensors of its file by their paths there; None if the name includes the weights, or if there are none."""
    choice: WeightChoice = field(default_factory=WeightChoice)
    classes: int | None = None
    """Number of classes (1 for one logit); None if only the data has it."""
    threshold: float | None = None
    """For a binary segmenter of one logit: a pixel above this probability is of the second class; else None."""
    class_names: tuple[str, ...] | None = None
    """In the order of its outputs; None if they are not known."""
    image_size: int | None = None
    """The side of its images, pixels; None if it takes any."""
    mean: Colours | None = None
    """Mean of each channel, for images in [0, 1]; None uses the network's own, as for `std`."""
    std: Colours | None = None
    framing: Framing = CENTRAL_SQUARE
    notes: tuple[str, ...] = ()
    """Decisions made in reading it, one line each, for the user."""
