"""The patch-similarity prior for vision transformers: the patches of a synthetic image differ as those of photographs.

Patch Similarity Aware Data-Free Quantization for Vision Transformers (PSAQ-ViT, Li et al., ECCV 2022).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from compress.errors import UsageError
from compress.synthesis.feature_hooks import LayerHooks
from compress.synthesis.patches import FEWEST, PatchLayer, patch_layers
from compress.synthesis.priors import batch_norm_layers
from compress.training.random_numbers import Numbers

BANDWIDTH = 0.1
"""Of the kernel density estimate. It is a constant, so that the entropy has a lower bound, which it reaches when all
patches are alike, and does not depend on the number of patches."""
PAIRS = 512
"""Pairs per image and layer from which the density is estimated. If there are more, some patches are drawn at random:
others in every step, and the same for all images."""
GRID, MARGIN = 41, 4
"""Points of the grid on which the density is integrated, and its margin beyond [−1, 1], in bandwidths."""
DEFAULT = 0.1
"""The weight by default, relative to that of the prior of the input's statistics, `inversion.bn`."""


class PatchEntropy(LayerHooks[Tensor]):
    """While entered, measures how varied the similarities of an image's patches are, in every attention layer.

    For real images the cosine similarities of all pairs of patches have a wide distribution: some patches show the same
    part of an object, others the background. For noise and flat images it is narrow. The measure is the differential
    entropy of that distribution, estimated with Gaussian kernels, for each image and layer.

    Deviations from the paper: the mean over layers instead of the sum, so that the balance of the terms does not depend
    on the depth; one bandwidth for all layers; the pairs of a patch with itself are left out.
    """

    def __init__(self, layers: Sequence[PatchLayer]) -> None:
        super().__init__()
        self._layers = list(layers)

    def _register(self) -> list[RemovableHandle]:
        return [each.layer.register_forward_hook(partial(self._record, each)) for each in self._layers]

    def _record(self, each: PatchLayer, layer: nn.Module, _: object, answer: object) -> None:
        self._recorded[layer] = each.patches_of(answer)

    @property
    def numbers(self) -> int:
        """The number of random numbers that a step uses."""
        return sum(each.patches for each in self._layers if each.patches > compared(each))

    def entropies(self, numbers: Numbers) -> Tensor:
        """The entropy `[n]` of each image in the teacher's last forward pass, the mean over layers."""
        entropies = []
        for each in self._layers:
            patches, count = self._recorded[each.layer], compared(each)
            if each.patches > count:
                patches = patches.index_select(1, numbers.uniform(each.patches).argsort()[:count])
            entropies.append(differential_entropy(similarities(patches, each.windows)))
        return torch.stack(entropies).mean(dim=0)


def compared(layer: PatchLayer) -> int:
    """The number of patches of each window that are compared: as many as have about `PAIRS` pairs in an image."""
    per_window = PAIRS / layer.windows
    return min(max(math.floor(0.5 + math.sqrt(0.25 + 2 * per_window)), FEWEST), layer.patches)


def similarities(patches: Tensor, windows: int) -> Tensor:
    """Cosine similarities `[n, m]` of all pairs of the patches `[n·windows, p, c]` of a window."""
    unit = F.normalize(patches, dim=2)
    first, second = torch.triu_indices(patches.shape[1], patches.shape[1], offset=1, device=patches.device)
    return (unit @ unit.mT)[:, first, second].view(len(unit) // windows, -1)


def differential_entropy(values: Tensor) -> Tensor:
    """−∫ f log f `[n]` of the density f of values `[n, m]` in [−1, 1], estimated with Gaussian kernels."""
    end = 1 + MARGIN * BANDWIDTH
    grid = torch.linspace(-end, end, GRID, device=values.device).view(1, -1, 1)
    kernels = torch.exp(-0.5 * ((grid - values.unsqueeze(1)) / BANDWIDTH) ** 2)
    density = kernels.mean(dim=2) / (BANDWIDTH * math.sqrt(2 * math.pi))
    return -(density * density.clamp(min=1e-12).log()).sum(dim=1) * (2 * end / (GRID - 1))


def patch_entropy_weight(
    teacher: nn.Module, image_shape: tuple[int, int, int], *, weight: float | None, bn: float
) -> float:
    """The weight of the term: as set, by default `DEFAULT`·bn for a teacher with patches and no batch normalisation.

    Raises `UsageError` if a weight is set for a teacher without patches.
    """
    if weight == 0 or (weight is None and batch_norm_layers(teacher)):
        return 0.0
    patches = bool(patch_layers(teacher, image_shape))
    if weight is None:
        return DEFAULT * bn if patches else 0.0
    if not patches:
        raise UsageError(
            f"`inversion.patch_entropy` is {weight:g}, and no attention layer of the teacher works on a grid of at "
            "least three patches: leave it out"
        )
    return weight
