"""Forward hooks that record features inside the teacher, registered only while a round runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

Recorded = TypeVar("Recorded")


class LayerHooks(ABC, Generic[Recorded]):
    """Hooks that are registered while this is entered, and what they recorded of each layer."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []
        self._recorded: dict[nn.Module, Recorded] = {}

    @abstractmethod
    def _register(self) -> list[RemovableHandle]:
        """Register the hooks."""

    def __enter__(self) -> Self:
        self._handles = self._register()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles, self._recorded = [], {}


class FeatureHooks(LayerHooks[Recorded]):
    """While entered, records `summarise(input)` of the last input of each of `layers`."""

    def __init__(self, layers: list[nn.Module], summarise: Callable[[Tensor], Recorded]) -> None:
        super().__init__()
        self._layers, self._summarise = layers, summarise

    def _register(self) -> list[RemovableHandle]:
        return [layer.register_forward_pre_hook(self._record) for layer in self._layers]

    def _record(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._recorded.pop(layer, None)  # dictionaries keep insertion order: the last key is the layer that ran last
        self._recorded[layer] = self._summarise(inputs[0])

    def reached(self) -> list[nn.Module]:
        """The layers that ran, in their order. Auxiliary heads for training do not run."""
        return [layer for layer in self._layers if layer in self._recorded]

    def each(self) -> list[Recorded]:
        """The recorded values of the layers that ran, in the order of the layers."""
        return [self._recorded[layer] for layer in self.reached()]

    def latest(self) -> Recorded:
        """The recorded value of the layer that ran last."""
        return next(reversed(self._recorded.values()))


def channel_means(features: Tensor) -> Tensor:
    """Mean over positions, `[n, c, *s] -> [n, c]`, in float32."""
    return features.float().flatten(2).mean(dim=2)


def penultimate_features(network: nn.Module) -> FeatureHooks[Tensor]:
    """Hooks on the input of the classifier, which is the linear or convolution layer that runs last."""
    return FeatureHooks(
        [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)], lambda features: features
    )
