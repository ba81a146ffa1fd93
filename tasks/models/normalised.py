"""The form of models that the engine uses: from images in [0, 1] to logits `[n, k, *s]`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compress.task import IMAGENET_MEAN, IMAGENET_STD, Deployable

from .two_part import TwoPartClassifier


def network_stride(network: nn.Module) -> int:
    """The number of which height and width must be multiples: the output stride that an encoder declares, else 1."""
    declared = (getattr(module, "output_stride", None) for module in network.modules())
    return max((stride for stride in declared if isinstance(stride, int)), default=1)


def padded_to_stride(network: nn.Module, images: Tensor, stride: int) -> Tensor:
    """Logits `[n, k, h, w]` of images `[n, 3, h, w]` of any size: images are padded by repeating the border, logits
    cropped back.

    For sizes that are no multiples of the stride, eager segmenters raise, and exported ones return maps of wrong size.
    """
    logits: Tensor
    if stride == 1:
        logits = network(images)
        return logits
    height, width = images.shape[-2:]
    below, right = ((side + stride - 1) // stride * stride - side for side in (height, width))
    logits = network(F.pad(images, (0, right, 0, below), mode="replicate"))
    return logits[..., :height, :width]


class NormalisedModel(Deployable):
    """A network with normalisation as its first layer, so that no other code handles mean and standard deviation.

    Images are padded to multiples of the network's stride.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
    ) -> None:
        super().__init__()
        self.network, self.stride = network, network_stride(network)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[n, k, *s]` of images `[n, 3, h, w]` in [0, 1]."""
        return padded_to_stride(self.network, self.normalised(images), self.stride)

    def normalised(self, images: Tensor) -> Tensor:
        """The network's normalised input for images `[n, 3, h, w]` in [0, 1]: see `compress.task.Normalised`."""
        return (images - self.mean) / self.std

    def features(self, images: Tensor) -> Tensor:
        """The last feature map `[n, c, h, w]` of a classifier; `classify` computes the logits from it."""
        assert isinstance(self.network, TwoPartClassifier)
        return self.network.forward_features(self.normalised(images))

    def classify(self, features: Tensor) -> Tensor:
        """Logits `[n, k]` of a last feature map."""
        assert isinstance(self.network, TwoPartClassifier)
        return self.network.forward_head(features)


class AnySize(Deployable):
    """A user's own module, which takes images in [0, 1] without normalisation, extended to images of any size."""

    def __init__(self, network: nn.Module, stride: int) -> None:
        super().__init__()
        self.network, self.stride = network, stride

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[n, k, *s]` of images `[n, 3, h, w]` in [0, 1]."""
        return padded_to_stride(self.network, images, self.stride)


def deployable(student: nn.Module, task: str = "segmentation") -> Deployable:
    """The student as it is exported. The stride matters for segmenters only; a classifier's is ignored."""
    if isinstance(student, NormalisedModel):
        return student
    return AnySize(student, network_stride(student) if task == "segmentation" else 1)
