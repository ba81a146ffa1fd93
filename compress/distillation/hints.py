"""Hints: a loss between feature maps of student and teacher (FitNets, Romero et al. 2015).

Logits are a few numbers for thousands of pixels. Feature maps describe every position.
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
    """The module that outputs the last feature map of a size, and its channels."""

    module: nn.Module
    channels: int


class Hints(nn.Module):
    """Compares the last maps of every resolution that the encoders of student and teacher have in common.

    If the numbers of channels differ, a 1x1 convolution, which is trained along, maps the student's features to the
    teacher's. `weight` is that of the distance relative to the loss of the logits. FitNets uses one layer, in a phase
    before distillation; here all resolutions are trained together with the logits.

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
                "student and teacher have no feature maps of the same size, which hints need: "
                "leave out distillation.hints"
            )
        self.projections = nn.ModuleList(
            nn.Identity() if small.channels == big.channels else nn.Conv2d(small.channels, big.channels, 1)
            for small, big in self._levels.values()
        )
        self._maps: dict[tuple[Size, int], Tensor] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While entered, hooks record the feature maps of both networks for `distance()`."""
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
            if tuple(output.shape[2:]) == size:  # a network may use one activation module at several sizes
                self._maps[size, role] = output

        return hook

    def distance(self) -> Tensor:
        """Σ over sizes of ‖f_S − f_T‖² / ‖f_T‖², of each image, `[n]`."""
        distances = []
        for projection, size in zip(self.projections, self._levels, strict=True):
            teacher_map = self._maps.pop((size, 1)).float().flatten(1)
            missing = projection(self._maps.pop((size, 0))).float().flatten(1) - teacher_map
            distances.append(missing.pow(2).sum(dim=1) / teacher_map.pow(2).sum(dim=1).clamp(min=1e-6))
        return torch.stack(distances).sum(dim=0)


@torch.no_grad()
def feature_levels(network: nn.Module, image_shape: tuple[int, int, int]) -> dict[Size, Level]:
    """The last map of each resolution in the encoder, that is, before maps become larger again.

    Logits are excluded, including the small ones that a label map's logits are upsampled from. So are maps of one
    pixel, such as channel attention, because they have no positions.
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
    """Whether the last output of a network is its logits, possibly before cropping, or what they are upsampled from."""
    if output.untyped_storage()._cdata == logits.untyped_storage()._cdata:
        return True
    smaller = output.shape[2:].numel() < logits.shape[2:].numel()
    return logits.ndim == 4 and output.shape[1] == logits.shape[1] and smaller
