"""A model that is exported, and the images that files of it are compared on and calibrated with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from compress.data_settings import ModelSettings
from compress.replay.stored_samples import in_turns, stored_columns
from compress.runs.data import place_of
from compress.runs.gates import comparison_images
from compress.runs.opening import open_model
from compress.runs.reading import require_classes
from compress.storage.run_directory import RunDirectory
from compress.task import Deployable, HeldOut
from compress.tasks import held_out_of
from compress.tasks.data import SOURCES, open_data
from compress.tasks.data.collected import read_photographs
from compress.tasks.models import deployable
from compress.tasks.models.model_folder import Card

SYNTHETIC = 512
"""Largest number of a run's samples for comparison and calibration."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The data on which a file is compared."""

    held_out: HeldOut | None
    """The task with held-out data; None if there is none."""
    images: Tensor | None
    """`[n, 3, h, w]` in [0, 1] for the comparison of outputs: held-out images, or else synthetic ones."""
    calibration: Tensor | None
    """uint8 `[n, 3, h, w]`, for INT8; None if the images must be synthesised."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A model to export, opened once for all formats."""

    network: nn.Module
    card: Card
    evidence: Evidence

    @property
    def exported(self) -> Deployable:
        """The module that is exported."""
        return deployable(self.network)


def opened(model: Path, settings: ModelSettings | None, calibrate_on: Path | None, data_root: Path | None) -> Opened:
    """The model and the data on which its files are compared; raises `UsageError` if it cannot be opened."""
    network, card = open_model(model, settings)
    return Opened(network=network, card=card, evidence=_evidence(model, card, data_root, calibrate_on))


def _evidence(model: Path, card: Card, root: Path | None, photographs: Path | None) -> Evidence:
    """The data for comparison and calibration, as far as it is available."""
    samples = synthetic_samples(model)
    calibration = read_photographs(photographs, card.image_shape, card.framing) if photographs is not None else samples
    listing = SOURCES.find(card.data)
    if listing is None or (listing.on_disk and root is None):
        return Evidence(
            held_out=None,
            images=None if samples is None else samples[:SYNTHETIC].float() / 255,
            calibration=calibration,
        )
    source = open_data(card.data, card.task, root, usual=place_of(card))
    source = require_classes(source, card.class_names, str(model))
    return Evidence(held_out=held_out_of(source), images=comparison_images(source, samples), calibration=calibration)


def synthetic_samples(run: Path) -> Tensor | None:
    """uint8 `[n, 3, h, w]` from a run's buffer, evenly spread over it; None if `model` is not a run."""
    if not (run / "config.yaml").is_file() or not RunDirectory(run).checkpoint.is_file():
        return None
    images = in_turns(stored_columns(RunDirectory(run)))
    if images is None:
        return None
    chosen = torch.linspace(0, len(images) - 1, min(SYNTHETIC, len(images))).round().long()
    return images[chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))]]
