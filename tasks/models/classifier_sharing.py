"""A student with its teacher's classifier (SimKD, Chen et al., CVPR 2022; HiDFD's student)."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from compress.errors import UsageError

from .normalised import NormalisedModel
from .two_part import PooledClassifier, TwoPartClassifier

TOLERANCE = 1e-3


@runtime_checkable
class ReplaceableHead(TwoPartClassifier, Protocol):
    """A network whose last layer can be read and replaced: all of timm's, and the CIFAR networks."""

    def get_classifier(self) -> nn.Module:
        """The last layer."""

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by a new one, or remove it for 0 classes."""


class ClassifierSharing(PooledClassifier):
    """Backbone, projector to the teacher's last feature map, and the teacher's frozen classifier.

    The projector has three convolutions, each with batch normalisation and ReLU: 1x1 to half of the teacher's
    channels, 3x3, and 1x1 to all of them.
    """

    def __init__(self, backbone: nn.Module, image_shape: tuple[int, int, int], channels: int, num_classes: int) -> None:
        super().__init__()
        self.channels = channels
        assert isinstance(backbone, ReplaceableHead)
        self.backbone = backbone
        backbone.reset_classifier(0)
        widths, half = _map_shape(backbone, image_shape)[1], max(channels // 2, 1)
        self.projector = nn.Sequential(
            *_step(widths, half, 1),
            *_step(half, half, 3),
            *_step(half, channels, 1),
        )
        self.linear = nn.Linear(channels, num_classes).requires_grad_(requires_grad=False)

    def forward_features(self, images: Tensor) -> Tensor:
        """The projected feature map `[n, channels, h, w]`, of the shape of the teacher's."""
        projected: Tensor = self.projector(self.backbone.forward_features(images))
        return projected


def share_classifier(
    student: NormalisedModel, teacher: NormalisedModel, image_shape: tuple[int, int, int]
) -> NormalisedModel:
    """The student with a new projector, and a copy of the teacher's classifier in place of its own.

    Raises `UsageError` unless the teacher's classifier is linear on the spatial mean of its last feature map, and if
    the student has no feature map.
    """
    linear = _classifier(teacher, image_shape)
    network = ClassifierSharing(student.network, image_shape, linear.in_features, linear.out_features)
    network.linear.load_state_dict(linear.state_dict())
    return NormalisedModel(network, student.mean.flatten().tolist(), student.std.flatten().tolist())


@torch.no_grad()
def _classifier(teacher: NormalisedModel, image_shape: tuple[int, int, int]) -> nn.Linear:
    network, was_training = teacher.network, teacher.training
    assert isinstance(network, ReplaceableHead)
    linear = network.get_classifier()
    device = teacher.mean.device
    probe = torch.rand(2, *image_shape, generator=torch.Generator().manual_seed(0)).to(device)
    teacher.eval()
    features, logits = teacher.features(probe), teacher(probe)
    teacher.train(was_training)
    if isinstance(linear, nn.Linear) and features.ndim == 4 and features.shape[1] == linear.in_features:
        pooled_logits = linear(features.mean(dim=(2, 3)))
        if linear.bias is not None and torch.allclose(pooled_logits, logits, atol=TOLERANCE, rtol=TOLERANCE):
            return linear
    raise UsageError(
        "this teacher's classifier cannot be shared: it is not linear on the spatial mean of the last feature map; "
        "use a residual network, or a method other than hidfd"
    )


@torch.no_grad()
def _map_shape(backbone: nn.Module, image_shape: tuple[int, int, int]) -> torch.Size:
    was_training = backbone.training
    backbone.eval()
    assert isinstance(backbone, TwoPartClassifier)
    shape = backbone.forward_features(torch.zeros(1, *image_shape)).shape
    backbone.train(was_training)
    if len(shape) != 4:
        raise UsageError(f"this student has no feature map to align, its features are {list(shape)}: choose another")
    return shape


def _step(inputs: int, outputs: int, size: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
