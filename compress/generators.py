"""Networks that turn noise and a wish into images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST_MAP = 6  # pixels; from there the maps are enlarged two-fold
CODE = 32  # channels of the smallest map


class ConditionalGenerator(nn.Module):
    """FastDFKD's generator with the target as a second input.

    Latents `[n, latent]` become a small map that is enlarged two-fold until it has the image's size and ends in a
    sigmoid. The paper's generator hears of the target only through the latent, which a few steps cannot bend to a whole
    label map; here the target, resized to each map, is a further input of every convolution. A class label is a label
    map of one position, so that both tasks share this code. Like the paper's it always stays in training mode.
    """

    def __init__(
        self, num_classes: int, image_shape: tuple[int, int, int], latent: int = 256, width: int = 128
    ) -> None:
        super().__init__()
        _, *size = image_shape
        scales = [tuple(size)]
        while min(scales[0]) >= 2 * SMALLEST_MAP:
            scales.insert(0, tuple(-(-side // 2) for side in scales[0]))
        self.latent, self._num_classes, self._scales = latent, num_classes, scales
        self.project = nn.Linear(latent, CODE * scales[0][0] * scales[0][1])
        widths = [CODE, *[width] * max(len(scales) - 2, 0), *[width // 2] * (len(scales) > 1)]
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in widths)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before + num_classes, after, 3, padding=1)
            for before, after in zip(widths, [*widths[1:], 3], strict=True)
        )

    @property
    def conditional(self) -> bool:
        """Whether it is told what to make."""
        return self._num_classes > 0

    def forward(self, latents: Tensor, targets: Tensor | None) -> Tensor:
        """Images `[n, 3, h, w]` in [0, 1] for latents `[n, latent]` and, if conditional, targets `[n, *s]`."""
        wish = None if targets is None else self._one_hot(targets)
        features = self.project(latents).view(len(latents), CODE, *self._scales[0])
        features = features.contiguous(memory_format=torch.channels_last)
        for scale, norm, convolution in zip(self._scales, self.norms, self.convolutions, strict=True):
            features = F.leaky_relu(F.interpolate(norm(features), size=scale, mode="nearest"), 0.2)
            if wish is not None:
                condition = F.interpolate(wish, size=scale, mode="area").to(features.dtype)
                features = torch.cat([features, condition], dim=1)
            features = convolution(features)
        return torch.sigmoid(features.float())

    def _one_hot(self, targets: Tensor) -> Tensor:
        classes = torch.arange(self._num_classes, device=targets.device).view(-1, *[1] * (targets.ndim - 1))
        wish = (targets.unsqueeze(1) == classes).float()
        return wish if wish.ndim == 4 else wish[..., None, None]


@torch.no_grad()
def reinitialise(generator: ConditionalGenerator, randomness: torch.Generator) -> None:
    """Forget everything: new random weights, spread as those of a new generator, U(±1/√fan-in)."""
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Linear | nn.Conv2d):
            bound = module.weight[0].numel() ** -0.5
            for parameter in module.parameters():
                parameter.copy_(torch.rand(parameter.shape, generator=randomness).mul(2).sub(1).mul(bound))
