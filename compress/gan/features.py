"""A classifier in two halves: backbone and classifier, for methods that use the last feature map."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from compress.errors import UsageError


@runtime_checkable
class FeatureModel(Protocol):
    """A model in two halves: its logits are `classify(features(images))`."""

    def __call__(self, images: Tensor) -> Tensor:
        """Logits `[n, k]` of images `[n, 3, h, w]` in [0, 1]."""

    def features(self, images: Tensor) -> Tensor:
        """The last feature map `[n, c, h, w]` of images `[n, 3, h, w]` in [0, 1]."""

    def classify(self, features: Tensor) -> Tensor:
        """Logits `[n, k]` of a last feature map `[n, c, h, w]`."""


def as_feature_model(model: nn.Module) -> FeatureModel:
    """The model as a `FeatureModel`; raises `UsageError` if it lacks one of the two methods."""
    if not isinstance(model, FeatureModel):
        raise UsageError(
            f"{type(model).__name__} has no `features` and `classify`, which this method needs: "
            "add the two to your module, or use `method` fast-dfkd"
        )
    return model


def penultimate(features: Tensor) -> Tensor:
    """A last feature map averaged over positions for a linear classifier, `[n, c, h, w] -> [n, c]`, in float32."""
    return features.float().mean(dim=(2, 3))
