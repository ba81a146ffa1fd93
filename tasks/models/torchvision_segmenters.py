"""torchvision's DeepLabV3 and FCN, returning logits instead of a dictionary."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import get_model, list_models, segmentation

PREFIX = "torchvision_"
"""Prefix of their names here; the rest is torchvision's name."""
FAMILIES = ("deeplabv3_", "fcn_")


class TorchvisionSegmenter(nn.Module):
    """A backbone and a classifier whose weight names are torchvision's, so that its checkpoints load."""

    training_only = ("aux_classifier.",)
    """Name prefixes of weights in checkpoints that are used in training only."""

    def __init__(self, name: str, num_classes: int) -> None:
        super().__init__()
        network = get_model(name, weights=None, weights_backbone=None, num_classes=num_classes)
        self.backbone, self.classifier = network.backbone, network.classifier

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[n, k, h, w]` of normalised images `[n, 3, h, w]`."""
        logits: Tensor = self.classifier(self.backbone(images)["out"])
        return F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)


def torchvision_names() -> list[str]:
    """Names of all torchvision segmenters supported here, each with `PREFIX`."""
    return [PREFIX + name for name in list_models(module=segmentation) if name.startswith(FAMILIES)]
