"""How fast the convolutions of ResNet-56 can be on this machine, and so how short a distillation step can ever be.

    python tests/benchmarks/bench_peak.py

A distillation step of 256 images is a forward pass of ResNet-56 and a forward and backward pass of ResNet-20: nearly
all of it convolutions. At the rates printed it takes the floor's time, before anything is normalised, drawn or learnt.
"""

from __future__ import annotations

import argparse
import time

import torch
from tables import markdown
from torch import nn

from compress.evaluation import multiply_accumulates
from compress.tasks.models import create_model

STAGES = ((16, 32), (32, 16), (64, 8))
"""Channels of a stage and the side of its maps, pixels; all do the same number of operations a layer."""
BATCH = 256


def rate(channels: int, side: int, dtype: torch.dtype, repeats: int) -> float:
    """Operations a second of a 3x3 convolution, at its best."""
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(dtype).to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
    seconds = []
    with torch.no_grad():
        for _ in range(repeats):
            started = time.perf_counter()
            layer(images)
            seconds.append(time.perf_counter() - started)
    return 2 * BATCH * side**2 * channels**2 * 9 / min(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    teacher, student = (
        multiply_accumulates(create_model("classification", f"cifar_resnet{depth}", 10), (3, 32, 32))
        for depth in (56, 20)
    )
    operations = 2 * BATCH * (teacher + 3 * student)
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        rates = [rate(*stage, dtype, repeats) for stage in STAGES]
        floor = operations * sum(1 / speed for speed in rates) / len(rates)
        rows.append([str(dtype).removeprefix("torch."), *(f"{speed / 1e9:.0f}" for speed in rates), f"{floor:.3f}"])
    print(f"{torch.get_num_threads()} threads, {operations / 1e9:.0f} GFLOP a step\n")
    header = ["", *(f"{channels} channels, {side}x{side}, GFLOP/s" for channels, side in STAGES), "floor of a step, s"]
    print(markdown(header, rows))


if __name__ == "__main__":
    main()
