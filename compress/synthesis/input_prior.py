"""The prior of a teacher without batch normalisation, and the choice between the two priors."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from compress.synthesis.priors import BatchNormPrior, batch_norm_layers
from compress.task import IMAGENET_MEAN, IMAGENET_STD, Normalised
from compress.training.parallel import Workers
from compress.training.progress import console

SMOOTHNESS = 0.1  # weight of the variation; more of it flattens the images


def make_prior(teacher: nn.Module, momentum: float, workers: Workers) -> BatchNormPrior | InputPrior:
    """The batch-normalisation prior, or, with a notice on stderr, its substitute where the teacher has no such layer.

    A method that looks at the layers themselves takes `BatchNormPrior`, which refuses such a teacher.
    """
    if batch_norm_layers(teacher):
        return BatchNormPrior(teacher, momentum, workers)
    origin = "its own" if isinstance(teacher, Normalised) else "ImageNet's"
    console.print(
        "the teacher has no batch normalisation: synthetic images are held to the channel mean and variance of "
        f"{origin} input normalisation and to smoothness instead",
        soft_wrap=True,
    )
    return InputPrior(teacher, momentum, workers)


class InputPrior:
    """What stands in for `BatchNormPrior` where the teacher (a vision transformer, a ConvNeXt) has no such layers.

    Layer normalisation is computed from each image anew, so that of the data's statistics such a teacher carries only
    those of its input normalisation: the mean and deviation that made the training data 0 and 1 in every channel.
    `distance()` is therefore `BatchNormPrior`'s formula, moving average and all, for layers in front of the network
    whose statistics are those: ‖1 − v‖₂ + ‖0 − m‖₂ of the normalised batch.

    Flat images of different colours meet that, and inversion finds them, so three more facts of natural images are
    asked for. The variance is inside the images: a second layer measures them less their own means (in CIFAR-10, 0.7
    of a variance of 1). Channels go together: the mean of the three is measured as a fourth channel, with the same
    variance (0.9 there; Ruderman et al. 1998). Neighbouring pixels are alike: the total variation of the normalised
    images is added (Rudin, Osher and Fatemi 1992, anisotropic; a prior of inversion since Mahendran and Vedaldi 2015).

    A teacher that does not say how it normalises (`compress.task.Normalised`) is taken to have been trained on natural
    images, with ImageNet's mean and deviation.

    This is our substitute, from no paper, and a weaker prior than the one it replaces.
    """

    def __init__(self, teacher: nn.Module, momentum: float, workers: Workers) -> None:
        self._teacher = teacher
        device = next(teacher.parameters()).device
        self._whole, self._inside = (nn.BatchNorm2d(4, affine=False, device=device).eval() for _ in range(2))
        self._statistics = BatchNormPrior(nn.ModuleList([self._whole, self._inside]), momentum, workers)
        self._mean, self._std = (  # made once: a step must not copy them to a GPU
            torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
        self._variation: Tensor | None = None
        self._handle: RemovableHandle | None = None

    def __enter__(self) -> InputPrior:
        self._statistics.__enter__()
        self._handle = self._teacher.register_forward_pre_hook(self._measure)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._handle is not None
        self._handle.remove()
        self._statistics.__exit__(kind, error, trace)
        self._variation = None

    def _measure(self, teacher: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        pixels = inputs[0]
        images = teacher.normalised(pixels) if isinstance(teacher, Normalised) else (pixels - self._mean) / self._std
        channels = torch.cat([images, images.mean(dim=1, keepdim=True)], dim=1)
        means = channels.mean(dim=(2, 3), keepdim=True)
        self._whole(channels)
        self._inside(channels - means)
        self._variation = total_variation(images).mean()

    def distance(self) -> Tensor:
        """The substitute for L_bn, `[]`, of the last forward pass through the teacher."""
        assert self._variation is not None
        return self._statistics.distance() + SMOOTHNESS * self._variation

    def end_round(self) -> None:
        """Fold the last forward pass into the moving average."""
        self._statistics.end_round()

    def state_dict(self) -> dict[str, Any]:
        """The moving average."""
        return self._statistics.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._statistics.load_state_dict(state)


def total_variation(images: Tensor) -> Tensor:
    """Mean absolute difference of vertical plus of horizontal neighbours, `[n]`, of images `[n, c, h, w]`."""
    vertical, horizontal = (images.diff(dim=axis).abs().flatten(1).mean(dim=1) for axis in (2, 3))
    return vertical + horizontal
