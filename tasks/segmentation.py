"""Segmentation: one label a pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compress.task import Batch, Deployable, TaskSpec

from .data import DataSource
from .metrics import ConfusionMatrix
from .models import network_stride
from .pictures import colours, triptychs
from .targets import blob_maps


class DeployedSegmenter(Deployable):
    """What an application wants of a segmenter: `classes [n, h, w]` (uint8) and `confidence [n, h, w]`.

    Images of any size are padded to the network's stride by repeating the border, and the maps cropped back: eager
    networks refuse other sizes, and exported ones answer with maps of the wrong size.
    """

    output_names = ("classes", "confidence")

    def __init__(self, model: nn.Module, stride: int) -> None:
        super().__init__()
        self.model, self._stride = model, stride

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """For images `[n, 3, h, w]` in [0, 1]."""
        height, width = images.shape[-2:]
        padding = (0, -width % self._stride, 0, -height % self._stride)
        logits = self.model(F.pad(images, padding, mode="replicate"))[..., :height, :width]
        confidence, classes = logits.softmax(dim=1).max(dim=1)
        return classes.to(torch.uint8), confidence


class Segmentation:
    """The task adapter of segmentation."""

    def __init__(self, source: DataSource, teacher: Callable[[], nn.Module], student: Callable[[], nn.Module]) -> None:
        self.source, self._teacher, self._student = source, teacher, student
        palette = source.palette or colours(len(source.class_names), source.background)
        self.spec = TaskSpec("segmentation", source.image_shape, source.class_names, "miou", palette=palette)

    def teacher(self) -> nn.Module:
        """The trained network, frozen and in evaluation mode."""
        return self._teacher().eval().requires_grad_(requires_grad=False)

    def student(self) -> nn.Module:
        """A new, untrained network."""
        return self._student()

    def draw_targets(self, n: int, generator: torch.Generator) -> Tensor:
        """Label maps `[n, h, w]` of random blobs on the background class, if the data has one."""
        size = self.spec.image_shape[1], self.spec.image_shape[2]
        return blob_maps(n, size, self.spec.num_classes, generator, self.source.background)

    def held_out(self) -> Iterator[Batch]:
        """The validation split."""
        return self.source.held_out().batches(50)

    def metric(self) -> ConfusionMatrix:
        """mIoU, pixel accuracy and IoU by class over the whole set."""
        return ConfusionMatrix(self.spec.class_names, self.spec.ignore_index)

    def deployable(self, student: nn.Module) -> Deployable:
        """Class map and confidence at the image's own size."""
        return DeployedSegmenter(student, network_stride(student))

    def picture(self, batch: Batch, logits: Tensor) -> Tensor:
        """Image, target map and predicted map side by side."""
        images = batch.images.mul(255).round().to(torch.uint8).cpu()
        return triptychs(images, batch.targets.cpu(), logits.argmax(dim=1).cpu(), self.spec.palette)
