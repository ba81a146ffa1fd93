"""Hints: the student's feature maps learn to be like its teacher's, beside its answers (FitNets, Romero et al. 2015).

Answers are a few numbers for thousands of pixels; the maps on the way to them say, at every position, what the teacher
makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from compress.errors import UsageError

Size = tuple[int, int]


@dataclass(frozen=True)
class Level:
    """Where in a network the last feature map of some size comes from, and its channels."""

    module: nn.Module
    channels: int


class Hints(nn.Module):
    """Compares the last maps of every size that student and teacher have in common on the way down.

    Where the student's map has other channels than the teacher's, a 1x1 convolution, which learns along, leads from one
    to the other. `weight` is that of the distance beside the loss of the answers. FitNets hints at one layer, before
    the student learns answers; here all levels are learnt with them.

    Raises `UsageError` if the two networks have no map of the same size, as with a vision transformer.
    """

    def __init__(
        self, student: nn.Module, teacher: nn.Module, image_shape: tuple[int, int, int], weight: float
    ) -> None:
        super().__init__()
        self.weight = weight
        learner, master = feature_levels(student, image_shape), feature_levels(teacher, image_shape)
        self._levels = {size: (learner[size], big) for size, big in master.items() if size in learner}
        if not self._levels:
            raise UsageError(
                "student and teacher have no feature maps of the same size, so that one can give the other no hints: "
                "leave out distillation.hints"
            )
        self.projections = nn.ModuleList(
            nn.Identity() if small.channels == big.channels else nn.Conv2d(small.channels, big.channels, 1)
            for small, big in self._levels.values()
        )
        self._maps: dict[tuple[Size, int], Tensor] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While entered, `distance()` can tell of the last forward pass of both networks."""
        handles = [
            level.module.register_forward_hook(self._hear(size, role))
            for size, pair in self._levels.items()
            for role, level in enumerate(pair)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._maps = {}

    def _hear(self, size: Size, role: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            if tuple(output.shape[2:]) == size:  # networks may use one activation at several sizes
                self._maps[size, role] = output

        return hook

    def distance(self) -> Tensor:
        """Σ over sizes of ‖f_S − f_T‖² / ‖f_T‖², of each image, `[n]`."""
        distances = []
        for projection, size in zip(self.projections, self._levels, strict=True):
            wanted = self._maps.pop((size, 1)).float().flatten(1)
            missing = projection(self._maps.pop((size, 0))).float().flatten(1) - wanted
            distances.append(missing.pow(2).sum(dim=1) / wanted.pow(2).sum(dim=1).clamp(min=1e-6))
        return torch.stack(distances).sum(dim=0)


@torch.no_grad()
def feature_levels(network: nn.Module, image_shape: tuple[int, int, int]) -> dict[Size, Level]:
    """The last map of each size on the way down, until maps grow again as a decoder's do.

    Logits are no features, neither those of a label map nor the small ones that these are enlarged from. Maps of one
    pixel, such as those that gate channels, say nothing of positions and are passed over.
    """
    heard: list[tuple[nn.Module, Tensor]] = []

    def hook(module: nn.Module, inputs: Any, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            heard.append((module, output))

    handles = [module.register_forward_hook(hook) for module in network.modules()]
    was_training, device = network.training, next(network.parameters()).device
    logits = network.eval()(torch.zeros(1, *image_shape, device=device))
    network.train(was_training)
    for handle in handles:
        handle.remove()
    while heard and _are_logits(heard[-1][1], logits):
        heard.pop()
    levels: dict[Size, Level] = {}
    smallest = image_shape[1] * image_shape[2]
    for module, output in heard:
        channels, height, width = output.shape[1:]
        if height * width == 1:
            continue
        if height * width > smallest:
            break
        smallest = height * width
        levels[height, width] = Level(module, channels)
    return levels


def _are_logits(output: Tensor, logits: Tensor) -> bool:
    """Whether what comes last in a network is its answer, before it is cropped too, or what this is enlarged from."""
    if output.untyped_storage()._cdata == logits.untyped_storage()._cdata:
        return True
    smaller = output.shape[2:].numel() < logits.shape[2:].numel()
    return logits.ndim == 4 and output.shape[1] == logits.shape[1] and smaller
