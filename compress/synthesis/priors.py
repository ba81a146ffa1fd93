"""The batch-normalisation prior: synthetic batches match the channel means and variances that a teacher stores."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from compress.errors import UsageError
from compress.synthesis.feature_hooks import FeatureHooks
from compress.training.parallel import Workers


class _ChannelMoments(Function):
    """Mean and biased variance of each channel, `[n, c, *s] -> [c], [c]`, with one pass forward and one backward.

    The gradient of both moments is affine in the input per channel, so the backward pass is one multiply-add.
    `torch.var_mean` needs several full-size temporaries, which dominate the cost of an inversion step.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = torch.batch_norm_update_stats(features, None, None, 0.0)
        ctx.save_for_backward(features, mean)
        return mean.float(), variance.float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        features, mean = ctx.saved_tensors
        count = features.numel() // features.shape[1]
        slope = gradients[1] * (2 / count)
        offset = gradients[0] / count - slope * mean
        return _affine(features, slope.to(features.dtype), offset.to(features.dtype))


def _affine(features: Tensor, slope: Tensor, offset: Tensor) -> Tensor:
    """`slope·features + offset` with one slope and offset `[c]` per channel of features `[n, c, *s]`."""
    if features.ndim == 4 and features.is_contiguous(memory_format=torch.channels_last):
        # slope and offset are repeated to rows of w·c numbers: broadcasting would give an inner loop of only c numbers
        n, c, h, w = features.shape
        rows = features.permute(0, 2, 3, 1).reshape(n * h, w * c)
        return torch.addcmul(offset.repeat(w), rows, slope.repeat(w)).view(n, h, w, c).permute(0, 3, 1, 2)
    shape = (1, -1) + (1,) * (features.ndim - 2)
    return torch.addcmul(offset.view(shape), features, slope.view(shape))


def channel_moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Differentiable mean and biased variance `[c], [c]` of features `[n, c, *s]`."""
    mean, variance = _ChannelMoments.apply(features)
    return mean, variance


def pooled_moments(moments: list[tuple[Tensor, Tensor]], workers: Workers) -> list[tuple[Tensor, Tensor]]:
    """Means and biased variances `[c], [c]` of each layer over the batches of all workers together.

    The gradient is with respect to this worker's own features. Averaged over workers, it is the whole batch's gradient.
    """
    if workers.size == 1:
        return moments
    mean, variance = (torch.cat(list(values)) for values in zip(*moments, strict=True))
    means, variances = workers.gather(torch.stack([mean, variance]).unsqueeze(0)).unbind(dim=1)
    centre = means.mean(dim=0)
    spread = variance + (mean - centre) ** 2
    # the values are bitwise equal on all workers, the gradients are each worker's own
    mean = centre + (mean - mean.detach())
    variance = (variances + (means - centre) ** 2).mean(dim=0) + (spread - spread.detach())
    sizes = [len(own) for own, _ in moments]
    return list(zip(torch.split(mean, sizes), torch.split(variance, sizes), strict=True))


def batch_norm_layers(teacher: nn.Module) -> list[nn.Module]:
    """The layers that store statistics of the teacher's training data."""
    layers = (m for m in teacher.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    return [layer for layer in layers if layer.running_mean is not None]


def statistics_distance(layers: Sequence[nn.Module], moments: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Mean over layers of ‖σ²_run − v‖₂ + ‖μ_run − m‖₂ for means m and variances v `[c], [c]` of each, `[]`."""
    terms = []
    for layer, (mean, variance) in zip(layers, moments, strict=True):
        assert isinstance(layer.running_mean, Tensor)
        assert isinstance(layer.running_var, Tensor)
        terms.append(torch.linalg.vector_norm(layer.running_var - variance))
        terms.append(torch.linalg.vector_norm(layer.running_mean - mean))
    return torch.stack(terms).sum() / len(layers)


def why_no_statistics(teacher: nn.Module) -> str:
    """The reason, for messages, why no layer of the teacher stores statistics."""
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in teacher.modules()):
        return "the teacher's batch normalisation stores no statistics (track_running_stats=False)"
    return "the teacher has no batch normalisation"


class BatchNormPrior:
    """While entered, measures the distance of a batch's statistics from those of the teacher's training data.

    `distance()` is FastDFKD's L_bn, the mean over layers of ‖σ²_run − v‖₂ + ‖μ_run − m‖₂. The paper sums over layers;
    with the mean, the balance of the terms does not depend on the depth of the teacher. From the second round on `m`
    and `v` are mixed with a moving average over rounds, (1 − a)·m + a·M, because a small batch cannot have the
    statistics of the whole data set.

    Raises `UsageError` for a teacher without batch normalisation.
    """

    def __init__(self, teacher: nn.Module, momentum: float, workers: Workers) -> None:
        self._layers = batch_norm_layers(teacher)
        if not self._layers:
            raise UsageError(f"{why_no_statistics(teacher)}: this method's prior needs them")
        self._momentum, self._workers = momentum, workers
        self._own = FeatureHooks(self._layers, channel_moments)
        self._moments: list[tuple[Tensor, Tensor]] = []
        self._average: list[tuple[Tensor, Tensor]] = []

    def __enter__(self) -> BatchNormPrior:
        self._own.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._own.__exit__(kind, error, trace)
        self._moments = []

    def distance(self) -> Tensor:
        """L_bn `[]` of the last forward pass through the teacher."""
        reached = self._own.reached()
        if not reached:
            raise UsageError(
                "the teacher runs none of its batch normalisation layers in evaluation: give a module without them"
            )
        self._moments = pooled_moments(self._own.each(), self._workers)
        return statistics_distance(reached, self._with_average())

    def _with_average(self) -> list[tuple[Tensor, Tensor]]:
        if not self._average:
            return self._moments
        new, old = 1 - self._momentum, self._momentum
        return [
            (new * mean + old * old_mean, new * variance + old * old_variance)
            for (mean, variance), (old_mean, old_variance) in zip(self._moments, self._average, strict=True)
        ]

    def latest(self) -> list[Tensor]:
        """Mean and variance `[c]` of each layer in the last forward pass, as a flat list."""
        return [moment.detach() for moments in self._moments for moment in moments]

    @torch.no_grad()
    def end_round(self, latest: Sequence[Tensor]) -> None:
        """Update the moving average with the `latest()` of a round's last step, in place."""
        if not self._average:
            moments = [moment.clone() for moment in latest]
            self._average = list(zip(moments[::2], moments[1::2], strict=True))
            return
        averages = [average for averages in self._average for average in averages]
        torch._foreach_lerp_(averages, list(latest), 1 - self._momentum)

    def state_dict(self) -> dict[str, Any]:
        """The moving average."""
        return {"average": self._average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""
        device = next(self._layers[0].buffers()).device
        self._average = [
            (mean.to(device, copy=True), variance.to(device, copy=True)) for mean, variance in state["average"]
        ]
