"""Networks that turn noise and a wish into images."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST_MAP = 4  # pixels; from there the maps are enlarged two-fold


class ConditionalGenerator(nn.Module):
    """FastDFKD's generator, with the target as a second input if it is told of one.

    Latents `[n, latent]` become a small map that is enlarged two-fold, by convolution, batch normalisation and leaky
    ReLU, until it has the image's size. With `num_classes` the target, resized to each map, is a further input of every
    convolution: a few steps cannot bend a latent to a whole label map. With 0 the latents alone are bent to the target,
    as in the paper: slower to aim, but samples of one class stay different, where a generator that is told the class
    soon makes one picture of it. Like the paper's it always stays in training mode.

    Unlike the paper's it begins with maps of 4 to 7 pixels, not of a quarter of the image, so that objects are laid out
    as a whole; and the colours are normalised over the batch before the sigmoid, nearly as in DAFL's generator, so that
    the first images are neither grey nor saturated.
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
        self.project = nn.Linear(latent, width * scales[0][0] * scales[0][1])
        widths = [*[width] * (len(scales) - 1), width // 2] if len(scales) > 1 else [width]
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in widths)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before + num_classes, after, 3, padding=1, bias=False) for before, after in pairwise(widths)
        )
        self.paint = nn.Conv2d(widths[-1] + num_classes, 3, 3, padding=1)
        self.colours = nn.BatchNorm2d(3)

    @property
    def conditional(self) -> bool:
        """Whether it is told what to make."""
        return self._num_classes > 0

    def forward(self, latents: Tensor, targets: Tensor | None) -> Tensor:
        """Images `[n, 3, h, w]` in [0, 1] for latents `[n, latent]` and, if conditional, targets `[n, *s]`."""
        wish = self._one_hot(targets) if targets is not None and self.conditional else None
        features = self.project(latents).view(len(latents), -1, *self._scales[0])
        features = self.norms[0](features.contiguous(memory_format=torch.channels_last))
        for scale, convolution, norm in zip(self._scales[1:], self.convolutions, self.norms[1:], strict=True):
            enlarged = F.interpolate(features, size=scale, mode="nearest")
            features = F.leaky_relu(norm(convolution(_beside(enlarged, wish))), 0.2)
        return torch.sigmoid(self.colours(self.paint(_beside(features, wish)).float()))

    def _one_hot(self, targets: Tensor) -> Tensor:
        classes = torch.arange(self._num_classes, device=targets.device).view(-1, *[1] * (targets.ndim - 1))
        wish = (targets.unsqueeze(1) == classes).float()
        return wish if wish.ndim == 4 else wish[..., None, None]


def _beside(features: Tensor, wish: Tensor | None) -> Tensor:
    """Features `[n, c, h, w]` and, if there is one, the wish `[n, k, *s]` resized to them, as one map."""
    if wish is None:
        return features
    return torch.cat([features, F.interpolate(wish, size=features.shape[2:], mode="area").to(features.dtype)], dim=1)


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
