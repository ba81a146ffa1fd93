"""What a term wants to know from inside the teacher, heard by hooks that are there only while a round runs."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

Heard = TypeVar("Heard")


class FeatureHooks(Generic[Heard]):
    """While entered, holds what `take` made of the last input of each of some layers of a network."""

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
        self._heard.pop(layer, None)  # a dictionary keeps the order in which keys came: the last one is the latest
        self._heard[layer] = self._take(inputs[0])

    def each(self) -> list[Heard]:
        """Of every layer, in the order in which they were given."""
        return [self._heard[layer] for layer in self._layers]

    def latest(self) -> Heard:
        """Of the layer that the last forward pass reached last."""
        return next(reversed(self._heard.values()))


def channel_means(features: Tensor) -> Tensor:
    """Mean over positions, `[n, c, *s] -> [n, c]`, in float32."""
    return features.float().flatten(2).mean(dim=2)


def penultimate_features(network: nn.Module) -> FeatureHooks[Tensor]:
    """Listens to what enters the classifier: the linear or convolution layer that runs last, whatever its name."""
    return FeatureHooks(
        [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)], lambda features: features
    )
