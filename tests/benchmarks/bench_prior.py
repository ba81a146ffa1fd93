"""The batch-normalisation prior against the same mathematics written the plain way, in one run, as a ratio.

    python tests/benchmarks/bench_prior.py

Forward and backward of the channel moments at layers of a DeepLabV3 on 96-pixel scenes and of a ResNet-56 on CIFAR.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from compress.synthesis.priors import channel_moments

LAYERS = {
    "deeplabv3 stem": (16, 64, 48, 48),
    "deeplabv3 stage 4": (16, 512, 12, 12),
    "resnet56 stage 1": (256, 16, 32, 32),
}
REPEATS = 15


def plain(features: Tensor) -> tuple[Tensor, Tensor]:
    """What a hook usually does."""
    variance, mean = torch.var_mean(features, dim=(0, 2, 3), correction=0)
    return mean, variance


def milliseconds(moments: Callable[[Tensor], tuple[Tensor, Tensor]], features: Tensor) -> float:
    """Median time of forward and backward."""
    times = []
    for _ in range(REPEATS):
        leaf = features.clone().requires_grad_()
        started = time.perf_counter()
        mean, variance = moments(leaf)
        (mean.norm() + variance.norm()).backward()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def main() -> None:
    """Print a table."""
    print(f"{'layer':20} {'dtype':9} {'plain ms':>9} {'ours ms':>9} {'ratio':>6}")
    for name, shape in LAYERS.items():
        for dtype in (torch.float32, torch.bfloat16):
            features = torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)
            before, after = milliseconds(plain, features), milliseconds(channel_moments, features)
            print(f"{name:20} {str(dtype)[6:]:9} {before:9.2f} {after:9.2f} {before / after:6.1f}")


if __name__ == "__main__":
    main()
