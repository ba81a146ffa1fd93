"""Forward hooks that record features inside the teacher, registered only while a round runs."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

Heard = TypeVar("Heard")


class FeatureHooks(Generic[Heard]):
    """While entered, records `take(input)` for the last input of each of some layers of a network."""

    def __init__(self, layers: list[nn.Module], take: Callable[[Tensor], Heard]) -> None:
        self._layers, self._take = layers, take
        self._handles: list[RemovableHandle] = []
        self._heard: dict[nn.Module, Heard] = {}

    def __enter__(self) -> FeatureHooks[Heard]:
        self._handles = [layer.register_forward_pre_hook(self._hear) for layer in self._layers]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles, self._heard = [], {}

    def _hear(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._heard.pop(layer, None)  # dictionaries keep insertion order: the last key is the layer that ran last
        self._heard[layer] = self._take(inputs[0])

    def reached(self) -> list[nn.Module]:
        """The layers that were run, in their order: heads that serve in training only are not."""
        return [layer for layer in self._layers if layer in self._heard]

    def each(self) -> list[Heard]:
        """The recorded values of the layers that were run, in the order of the layers."""
        return [self._heard[layer] for layer in self.reached()]

    def latest(self) -> Heard:
        """The recorded value of the layer that ran last."""
        return next(reversed(self._heard.values()))


def channel_means(features: Tensor) -> Tensor:
    """Mean over positions, `[n, c, *s] -> [n, c]`, in float32."""
    return features.float().flatten(2).mean(dim=2)


def penultimate_features(network: nn.Module) -> FeatureHooks[Tensor]:
    """Hooks on the input of the classifier, which is the linear or convolution layer that runs last."""
    return FeatureHooks(
        [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)], lambda features: features
    )
