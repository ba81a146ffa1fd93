"""What a term wants to know from inside the teacher, heard by hooks that are there only while a round runs."""

from __future__ import annotations

from types import TracebackType

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


class LayerInputs:
    """While entered, holds what last entered each of some layers of a network."""

    def __init__(self, layers: list[nn.Module]) -> None:
        self._layers = layers
        self._handles: list[RemovableHandle] = []
        self._inputs: dict[nn.Module, Tensor] = {}

    def __enter__(self) -> LayerInputs:
        self._handles = [layer.register_forward_pre_hook(self._hear) for layer in self._layers]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles, self._inputs = [], {}

    def _hear(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._inputs.pop(layer, None)  # a dictionary keeps the order in which keys came: the last one is the latest
        self._inputs[layer] = inputs[0]

    def latest(self) -> Tensor:
        """The input of the layer that the last forward pass reached last."""
        return next(reversed(self._inputs.values()))

    def channel_means(self) -> Tensor:
        """Mean over positions of every layer's input, side by side, `[n, c_1 + c_2 + ...]`."""
        inputs = [self._inputs[layer].float() for layer in self._layers]
        return torch.cat([maps.reshape(*maps.shape[:2], -1).mean(dim=2) for maps in inputs], dim=1)


def penultimate_features(network: nn.Module) -> LayerInputs:
    """Listens to what enters the classifier: the linear or convolution layer that runs last, whatever its name."""
    return LayerInputs([m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)])
