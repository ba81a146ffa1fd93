"""Classifiers split at the last feature map, with timm's names `forward_features` and `forward_head`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class TwoPartClassifier(Protocol):
    """All of timm's classifiers, and the CIFAR networks."""

    def forward_features(self, images: Tensor) -> Tensor:
        """The last feature map."""

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits `[n, k]` of the last feature map."""


class PooledClassifier(nn.Module, ABC):
    """A linear classifier on the spatial mean of the last feature map."""

    linear: nn.Module

    @abstractmethod
    def forward_features(self, images: Tensor) -> Tensor:
        """The last feature map `[n, c, h, w]`."""

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits `[n, k]` of the last feature map."""
        logits: Tensor = self.linear(features.mean(dim=(2, 3)))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[n, k]`."""
        return self.forward_head(self.forward_features(images))
