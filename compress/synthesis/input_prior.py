"""The prior for teachers without batch normalisation, and the choice between the two priors."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from compress.synthesis.priors import BatchNormPrior, batch_norm_layers, why_no_statistics
from compress.task import IMAGENET_MEAN, IMAGENET_STD, Normalised
from compress.training.parallel import Workers
from compress.training.progress import console

SMOOTHNESS = 0.1  # weight of the total variation; a higher one flattens the images


def make_prior(teacher: nn.Module, momentum: float, workers: Workers) -> BatchNormPrior | InputPrior:
    """The batch-normalisation prior, or `InputPrior` with a note on stderr if the teacher has no such layers.

    Methods that need the layers themselves use `BatchNormPrior`, which raises for such a teacher.
    """
    if batch_norm_layers(teacher):
        return BatchNormPrior(teacher, momentum, workers)
    origin = "its own" if isinstance(teacher, Normalised) else "ImageNet's"
    console.print(
        f"{why_no_statistics(teacher)}: synthetic images match the channel mean and variance of "
        f"{origin} input normalisation and are smooth instead",
        soft_wrap=True,
    )
    return InputPrior(teacher, momentum, workers)


class InputPrior:
    """The substitute for `BatchNormPrior` for teachers without such layers (vision transformers, ConvNeXt).

    Layer normalisation uses statistics of the current image, so such a teacher stores no statistics of its training
    data except those of its input normalisation: the mean and standard deviation that normalise every channel.
    `distance()` is therefore `BatchNormPrior`'s formula, including the moving average, for layers in front of the
    network with these statistics: ‖1 − v‖₂ + ‖0 − m‖₂ of the normalised batch.

    Flat images of different colours minimise that, and inversion finds them. Three properties of natural images are
    therefore added. Variance within images: a second layer measures images minus their own means (0.7 of a variance of
    1 in CIFAR-10). Correlated channels: the mean of the three channels is measured as a fourth, with the same variance
    (0.9 there; Ruderman et al. 1998). Smoothness: the total variation of the normalised images (Rudin, Osher and Fatemi
    1992, anisotropic; used for inversion since Mahendran and Vedaldi 2015).

    If a teacher does not state its normalisation, ImageNet's is assumed: see `input_statistics`.

    This prior is our own and not from a paper. It is weaker than the prior that it replaces.
    """

    def __init__(self, teacher: nn.Module, momentum: float, workers: Workers) -> None:
        self._teacher = teacher
        device = next(teacher.parameters()).device
        self._whole, self._inside = (nn.BatchNorm2d(4, affine=False, device=device).eval() for _ in range(2))
        self._statistics = BatchNormPrior(nn.ModuleList([self._whole, self._inside]), momentum, workers)
        self._mean, self._std = (values.to(device).view(1, 3, 1, 1) for values in input_statistics(teacher))
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
        images = (inputs[0] - self._mean) / self._std
        channels = torch.cat([images, images.mean(dim=1, keepdim=True)], dim=1)
        means = channels.mean(dim=(2, 3), keepdim=True)
        self._whole(channels)
        self._inside(channels - means)
        self._variation = total_variation(images).mean()

    def distance(self) -> Tensor:
        """The substitute for L_bn, `[]`, of the last forward pass through the teacher."""
        assert self._variation is not None
        return self._statistics.distance() + SMOOTHNESS * self._variation

    def latest(self) -> list[Tensor]:
        """See `BatchNormPrior`."""
        return self._statistics.latest()

    def end_round(self, latest: Sequence[Tensor]) -> None:
        """See `BatchNormPrior`."""
        self._statistics.end_round(latest)

    def state_dict(self) -> dict[str, Any]:
        """The moving average."""
        return self._statistics.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self._statistics.load_state_dict(state)


@torch.no_grad()
def input_statistics(teacher: nn.Module) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of the teacher's training images in [0, 1], `[3]` each, on the CPU.

    They are those by which it normalises its input (`compress.task.Normalised`), and ImageNet's if it states none.
    """
    if not isinstance(teacher, Normalised):
        return torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    device = next(teacher.parameters()).device
    black, white = (teacher.normalised(torch.full((1, 3, 1, 1), value, device=device)).view(3) for value in (0.0, 1.0))
    std = 1 / (white - black)
    return (-black * std).cpu(), std.cpu()


def total_variation(images: Tensor) -> Tensor:
    """Mean absolute difference of vertical neighbours plus that of horizontal ones, `[n]`, of images `[n, c, h, w]`."""
    vertical, horizontal = (images.diff(dim=axis).abs().flatten(1).mean(dim=1) for axis in (2, 3))
    return vertical + horizontal
