"""How fast convolutions can be on this machine, and so how short the two halves of a round can ever be.

    python tests/benchmarks/bench_peak.py

A distillation step of 256 images is a forward pass of ResNet-56 and a forward and backward pass of ResNet-20; one of
the five steps of an inversion is forward and backward of both, down to the images, and of the generator: nearly all of
it convolutions. At the rates printed they take the floors' time, before anything is normalised, drawn or learnt.
"""

from __future__ import annotations

import argparse
import time

import torch
from tables import markdown
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from compress.runs.evaluation import multiply_accumulates
from compress.synthesis.generators import ConditionalGenerator
from compress.tasks.models import create_model

STAGES = ((16, 32), (32, 16), (64, 8))
"""Channels of a ResNet's stage and the side of its maps, pixels; all do the same number of operations a layer."""
MAKING = (128, 16)
"""The same of the generator's largest layer."""
BATCH, CLASSES, INVERSION_STEPS = 256, 10, 5


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
        2 * BATCH * multiply_accumulates(create_model("classification", f"cifar_resnet{depth}", CLASSES), (3, 32, 32))
        for depth in (56, 20)
    )
    generator = 2 * BATCH * made_by()
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        *rates, making = [rate(*stage, dtype, repeats) for stage in (*STAGES, MAKING)]
        second = sum(1 / speed for speed in rates) / len(rates)  # of an operation, in a mean layer
        distillation = (teacher + 3 * student) * second
        inversion = INVERSION_STEPS * (2 * (teacher + student) * second + 3 * generator / making)
        name = str(dtype).removeprefix("torch.")
        floors = [f"{distillation:.3f}", f"{inversion:.2f}"]
        rows.append([name, *(f"{speed / 1e9:.0f}" for speed in (*rates, making)), *floors])
    print(f"{torch.get_num_threads()} threads, batches of {BATCH}\n")
    layers = [f"{channels} channels, {side}x{side}, GFLOP/s" for channels, side in (*STAGES, MAKING)]
    print(markdown(["", *layers, "floor of a distillation step, s", "floor of an inversion, s"], rows))


@torch.no_grad()
def made_by() -> int:
    """Multiply-accumulate operations of the generator for one image."""
    generator = ConditionalGenerator(CLASSES, (3, 32, 32))
    counter = FlopCounterMode(display=False)
    with counter:
        generator(torch.zeros(1, generator.latent), torch.zeros(1, dtype=torch.long))
    return int(counter.get_total_flops()) // 2


if __name__ == "__main__":
    main()
