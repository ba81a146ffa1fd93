"""Mixing the images of a batch, so that a student is trained on more images than were synthesised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from compress.training.random_numbers import RandomNumbers

NUMBERS_PER_BATCH = 3  # random numbers that a mix takes at most


@dataclass(frozen=True)
class MixedImages:
    """Images `[n, 3, h, w]`, each mixed with a partner: the image at the same position from the end of the batch."""

    images: Tensor
    own: Tensor
    """`[]`: the share of the image itself, in [0, 1]; it is the same for all images of a batch."""

    def of_both(self, values: Tensor, parts: int = 1) -> Tensor:
        """Average a value of each image `[n]` with its partner's, weighted by their shares of the mixed image.

        This turns importance weights of images into those of mixed images, and attributes divergences on mixed images
        to the original ones. `parts` is the number of equal, separately mixed parts of the `n` images.
        """
        partners = values.view(parts, -1).flip(1).flatten()
        return torch.lerp(partners, values, self.own.to(values.dtype))


Mix = Callable[[Tensor, RandomNumbers], MixedImages]
"""A function that mixes a batch of images in [0, 1] with itself in reverse order, without waiting for the device."""


def cutmix(images: Tensor, numbers: RandomNumbers) -> MixedImages:
    """CutMix (Yun et al., ICCV 2019): a box of each image is its partner's, one box for the batch.

    The box has the images' aspect ratio, a share of the area drawn from Beta(1, 1) before it is cut off at the border,
    and its centre anywhere. The teacher labels the mixed image, so labels are not mixed.
    """
    share, *centre = numbers.uniform(NUMBERS_PER_BATCH).float()
    inside = torch.ones((), dtype=torch.bool, device=images.device)
    for axis, middle in zip((-2, -1), centre, strict=True):
        length = images.shape[axis]
        distance = (torch.arange(length, device=images.device) + 0.5 - middle * length).abs()
        inside = inside.unsqueeze(-1) & (distance < share.sqrt() * length / 2)
    return MixedImages(torch.where(inside, images.flip(0), images), 1 - inside.float().mean())


def mixup(images: Tensor, numbers: RandomNumbers) -> MixedImages:
    """Mixup (Zhang et al., ICLR 2018): each image is a mean of itself and its partner, weighed by Beta(1, 1)."""
    own = numbers.uniform(1).float()[0]
    return MixedImages(torch.lerp(images.flip(0), images, own.to(images.dtype)), own)


MIXES: dict[str, Mix] = {"cutmix": cutmix, "mixup": mixup}
"""Mixes by name; both need only the images."""
