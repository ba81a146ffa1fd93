"""Instance discrimination: a contrastive term between synthetic images (CMI, Fang et al., IJCAI 2021)."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compress.errors import UsageError
from compress.synthesis.feature_hooks import FeatureHooks, channel_means
from compress.training.augment import PER_CROP, RandomCrop
from compress.training.compute import Compute
from compress.training.random_numbers import Numbers

TEMPERATURE = 0.1
EMBEDDING = 256
REMEMBERED = 40_960
"""Descriptions of earlier images that are kept as possible negatives."""
NEGATIVES = 4096
SMALLEST_CROP = 0.25


class InstanceDiscrimination:
    """A contrastive loss on descriptions: channel means of the inputs of the teacher's batch normalisation layers.

    A head of two layers, trained together with the images, embeds the descriptions of a crop and of the whole image.
    The loss is the cross-entropy of identifying the image that a crop came from, among all whole images of the batch
    and a random selection from earlier rounds.

    Raises `UsageError` for a teacher without batch normalisation.
    """

    def __init__(self, teacher: nn.Module, compute: Compute, *, flip: bool) -> None:
        layers = [m for m in teacher.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        if not layers:
            raise UsageError(
                "cmi needs the teacher's batch normalisation layers, and it has none: use another `method`"
            )
        width = sum(layer.num_features for layer in layers)
        self.head = nn.Sequential(nn.Linear(width, EMBEDDING), nn.ReLU(), nn.Linear(EMBEDDING, EMBEDDING))
        self.head.to(compute.device)
        self._teacher, self._compute, self._crop = teacher, compute, RandomCrop(SMALLEST_CROP, flip)
        self._layers = layers
        self._descriptions = FeatureHooks(list(layers), channel_means)
        self._remembered = torch.zeros(0, width, device=compute.device)
        self._parts = self._wholes = self._remembered

    def __enter__(self) -> InstanceDiscrimination:
        self._descriptions.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._descriptions.__exit__(kind, error, trace)
        self._parts = self._wholes = self._remembered

    def record_crops(self, images: Tensor, numbers: Numbers) -> None:
        """Run the teacher on a crop of each image; call this before the pass on the whole images."""
        with self._compute.autocast():
            self._teacher(self._crop(images, numbers))
        self._parts = self._described()

    def distance(self, numbers: Numbers) -> Tensor:
        """The loss `[n]` of each crop among the whole images of the teacher's last pass."""
        self._wholes = self._described()
        drawn = numbers.uniform(len(self._remembered)).argsort()[:NEGATIVES]
        others = self._remembered[drawn]
        parts, wholes = self._embed(self._parts), self._embed(torch.cat([self._wholes, others]))
        own = torch.arange(len(parts), device=parts.device)
        return F.cross_entropy(parts @ wholes.T / TEMPERATURE, own, reduction="none")

    def _described(self) -> Tensor:
        """The descriptions of the last pass, `[n, width]`, 0 for layers that run in training only."""
        means = dict(zip(self._descriptions.reached(), self._descriptions.each(), strict=True))
        first = next(iter(means.values()))
        return torch.cat([means.get(each, first.new_zeros(len(first), each.num_features)) for each in self._layers], 1)

    def _embed(self, descriptions: Tensor) -> Tensor:
        return F.normalize(self.head(descriptions), dim=1)

    def numbers_of(self, count: int) -> int:
        """The number of random numbers that a step of `count` images uses."""
        return PER_CROP * count + len(self._remembered)

    def latest(self) -> Tensor:
        """Descriptions `[n, c]` of the whole images of the last step."""
        return self._wholes.detach()

    def end_round(self, latest: Tensor) -> None:
        """Add the `latest()` of a round's last step to the memory and drop the oldest."""
        self._remembered = torch.cat([self._remembered, latest])[-REMEMBERED:]

    def state_dict(self) -> dict[str, Any]:
        """Head and memory."""
        return {"head": self.head.state_dict(), "remembered": self._remembered}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.head.load_state_dict(state["head"])
        self._remembered = state["remembered"].to(self._compute.device)
