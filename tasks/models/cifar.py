"""CIFAR-size classifiers, which no library has: residual networks, wide residual networks and VGG-11.

Parameter names are those of published checkpoints (`conv1`, `layer1.0.bn2`, `linear`), so that these load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from .two_part import PooledClassifier


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


class SubsampledShortcut(nn.Module):
    """He et al.'s option A: every second pixel, and zero channels on both sides."""

    def __init__(self, stride: int, added: int) -> None:
        super().__init__()
        self._stride, self._before, self._after = stride, added // 2, added - added // 2

    def forward(self, features: Tensor) -> Tensor:
        """`[n, c, h, w] -> [n, c + added, h / stride, w / stride]`."""
        return F.pad(features[:, :, :: self._stride, :: self._stride], (0, 0, 0, 0, self._before, self._after))


class ProjectedShortcut(nn.Sequential):
    """He et al.'s option B: a 1x1 convolution and batch normalisation."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, projected: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv3x3(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = _conv3x3(outputs, outputs), nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = (
                ProjectedShortcut(inputs, outputs, stride)
                if projected
                else SubsampledShortcut(stride, outputs - inputs)
            )

    def forward(self, features: Tensor) -> Tensor:
        """`[n, inputs, h, w] -> [n, outputs, h / stride, w / stride]`."""
        inner = F.relu(self.bn1(self.conv1(features)))
        return F.relu(self.bn2(self.conv2(inner)) + self.shortcut(features))


class CifarClassifier(PooledClassifier):
    """Shared by the networks below: the head and the initialisation."""

    def _finish(self, channels: int, num_classes: int) -> None:
        """Add the last layer and initialise the convolutions."""
        self.num_features = channels
        self.reset_classifier(num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.linear

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by a new one, or remove it for 0 classes."""
        self.linear = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()


class CifarResNet(CifarClassifier):
    """Residual network for small images: a 3x3 stem without pooling, then stages that halve the size.

    `cifar_resnet20`, `32`, `44` and `56`: 6n + 2 layers, widths 16, 32, 64, shortcuts without parameters (He et al.
    2016, section 4.2). `cifar_resnet18` and `34`: the ImageNet layout, 64 to 512 channels, projected shortcuts.
    """

    def __init__(self, blocks: tuple[int, ...], widths: tuple[int, ...], num_classes: int, *, projected: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv3x3(3, widths[0]), nn.BatchNorm2d(widths[0])
        inputs, self._stages = widths[0], len(widths)
        for number, (depth, width) in enumerate(zip(blocks, widths, strict=True), start=1):
            stage = [
                ResidualBlock(
                    inputs if i == 0 else width, width, 2 if i == 0 and number > 1 else 1, projected=projected
                )
                for i in range(depth)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*stage))
            inputs = width
        self._finish(inputs, num_classes)

    def forward_features(self, images: Tensor) -> Tensor:
        """The last feature map `[n, c, h, w]`."""
        features = F.relu(self.bn1(self.conv1(images)))
        for number in range(1, self._stages + 1):
            features = self.get_submodule(f"layer{number}")(features)
        return features


class PreActivationBlock(nn.Module):
    """A residual block that normalises and activates before each convolution (Zagoruyko and Komodakis 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), _conv3x3(inputs, outputs, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(outputs), _conv3x3(outputs, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if inputs != outputs else None

    def forward(self, features: Tensor) -> Tensor:
        """`[n, inputs, h, w] -> [n, outputs, h / stride, w / stride]`."""
        active = F.relu(self.bn1(features))
        residual: Tensor = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return residual + (features if self.shortcut is None else self.shortcut(active))


class WideResNet(CifarClassifier):
    """WRN-depth-factor: three stages of 16, 32 and 64 channels, each times the factor."""

    def __init__(self, depth: int, factor: int, num_classes: int) -> None:
        super().__init__()
        blocks, inputs = (depth - 4) // 6, 16
        self.conv1 = _conv3x3(3, inputs)
        stages = []
        for width, stride in ((16 * factor, 1), (32 * factor, 2), (64 * factor, 2)):
            for index in range(blocks):
                stages.append(PreActivationBlock(inputs, width, stride if index == 0 else 1))
                inputs = width
        self.blocks = nn.Sequential(*stages)
        self.bn1 = nn.BatchNorm2d(inputs)
        self._finish(inputs, num_classes)

    def forward_features(self, images: Tensor) -> Tensor:
        """The last feature map `[n, c, h, w]`."""
        return F.relu(self.bn1(self.blocks(self.conv1(images))))


class CifarVGG(CifarClassifier):
    """VGG-11 with batch normalisation. It halves the size five times, so images need at least 32 pixels a side."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width, halve in ((64, 1), (128, 1), (256, 0), (256, 1), (512, 0), (512, 1), (512, 0), (512, 1)):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] * halve
            inputs = width
        self.features = nn.Sequential(*layers)
        self._finish(inputs, num_classes)

    def forward_features(self, images: Tensor) -> Tensor:
        """The last feature map `[n, c, h, w]`."""
        features: Tensor = self.features(images)
        return features


def _small(layers: int) -> Callable[[int], nn.Module]:
    depth = (layers - 2) // 6
    return lambda k: CifarResNet((depth,) * 3, (16, 32, 64), k, projected=False)


def _large(*blocks: int) -> Callable[[int], nn.Module]:
    return lambda k: CifarResNet(blocks, (64, 128, 256, 512), k, projected=True)


def _wide(depth: int, factor: int) -> Callable[[int], nn.Module]:
    return lambda k: WideResNet(depth, factor, k)


CIFAR_NETWORKS: Mapping[str, Callable[[int], nn.Module]] = {
    **{f"cifar_resnet{layers}": _small(layers) for layers in (20, 32, 44, 56)},
    "cifar_resnet18": _large(2, 2, 2, 2),
    "cifar_resnet34": _large(3, 4, 6, 3),
    **{f"cifar_wrn_{depth}_{factor}": _wide(depth, factor) for depth, factor in ((40, 2), (40, 1), (16, 2), (16, 1))},
    "cifar_vgg11": CifarVGG,
}
"""For each name, a function that builds the network from the number of classes."""
