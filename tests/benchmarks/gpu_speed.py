"""Parts of `gpu.py`: how long a step takes beside a plain loop's and a CUDA graph's, and where its time goes."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from gpu_distiller import Say, distiller, wait
from plain_steps import InversionLoop, StudentLoop
from torch import nn

from compress.tasks.models import create_model
from compress.testing import FakeTask
from compress.training.capture import WARM
from compress.training.compute import Compute

PAIRS = (
    ("classification", "cifar_resnet56", "cifar_resnet20", 32, 256),
    ("classification", "cifar_wrn_40_2", "cifar_wrn_16_2", 32, 256),
    ("classification", "cifar_resnet34", "cifar_resnet18", 32, 256),
    ("segmentation", "deeplabv3:resnet50", "deeplabv3:mobilenet_v2", 128, 64),
)
"""Task, teacher, student, side of the images, batch."""
ROUNDS, LEAST, INVERSION_STEPS = 6, 3, 5
"""The last two rounds are timed: in the first ones steps are recorded, and compared with plain ones. `LEAST`: tiny."""


def steps(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """Milliseconds of a step of either half, plain and as graphs, beside a plain loop's step and its CUDA graph."""
    for task_name, big, small, usual_side, usual_batch in PAIRS[:1] + PAIRS[3:] if options.tiny else PAIRS:
        batch, side = (4, min(usual_side, 64)) if options.tiny else (usual_batch, usual_side)
        row: dict[str, Any] = {"pair": f"{big} to {small}", "batch": batch, "side": side}
        for capture in ("off", "auto"):
            pair = [create_model(task_name, name, 10) for name in (big, small)]
            task = FakeTask(positions=task_name == "segmentation", classes=10, size=side)
            place = replace(compute, capture=capture)
            rounds, count = (LEAST, 2) if options.tiny else (ROUNDS, WARM + 25)
            inversion, student = _engine(place, task, pair, batch, rounds, count)
            row |= {f"inversion_{capture}_ms": inversion, f"student_{capture}_ms": student}
        row |= _plain(compute, pair, task_name, batch, side, 2 if options.tiny else 20)
        say(**row)


def _engine(
    compute: Compute, task: FakeTask, pair: list[nn.Module], batch: int, rounds: int, count: int
) -> tuple[float, float]:
    """Milliseconds of a step of the inversion, its share of a round's work included, and of one of the student."""
    settings = {
        "inversion": {"samples": batch, "steps": INVERSION_STEPS, "conditional": True},
        "distillation": {"rounds": rounds, "warmup": 1, "steps": count, "batch": batch, "lr": 0.01},
        "replay": {"capacity": 4 * batch},
    }
    trained = distiller(compute, "ssd-kd", task, *pair, settings)
    times: list[tuple[float, float]] = []

    def keep_times(_: object) -> None:
        wait(compute)
        times.append((trained.seconds["inversion"], trained.seconds["distillation"]))

    trained.run(keep_times)
    inversion, student = (times[-1][half] - times[-3][half] for half in (0, 1))
    return 1e3 * inversion / (2 * INVERSION_STEPS), 1e3 * student / (2 * count)


def _plain(
    compute: Compute, pair: list[nn.Module], task_name: str, batch: int, side: int, count: int
) -> dict[str, float]:
    """Milliseconds of the same two steps in a loop that a user would write, and as CUDA graphs: the floors."""
    row: dict[str, float] = {}
    loops = {
        "inversion": InversionLoop(*pair, compute, batch, side, maps=task_name == "segmentation"),
        "student": StudentLoop(*pair, compute, batch, side),
    }
    for half, loop in loops.items():
        row[f"{half}_plain_ms"] = _milliseconds(loop.step, compute, count)
        if compute.device.type == "cuda":
            row[f"{half}_graph_ms"] = _milliseconds(_recorded(loop.step), compute, count)
    return row


def _recorded(step: Callable[[], object]) -> Callable[[], object]:
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM):
            step()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    return graph.replay


def _milliseconds(step: Callable[[], object], compute: Compute, count: int) -> float:
    for _ in range(min(count, 3)):
        step()
    wait(compute)
    started = time.perf_counter()
    for _ in range(count):
        step()
    wait(compute)
    return 1e3 * (time.perf_counter() - started) / count


def profile(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """Where the time of the student's steps goes: the operations that take most."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    pair = [create_model("classification", f"cifar_wrn_{name}", 10) for name in ("40_2", "16_2")]
    batch = 4 if options.tiny else 256
    plan = {"rounds": 2, "warmup": 0, "steps": 2 if options.tiny else 10, "batch": batch, "lr": 0.01}
    settings = {"inversion": {"samples": batch, "steps": 1}, "distillation": plan}
    trained = distiller(compute, "ssd-kd", FakeTask(positions=False, classes=10, size=32), *pair, settings)
    on_card = compute.device.type == "cuda"
    with profiled(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_card]) as record:
        trained.run(lambda _: None)
    key = "self_device_time_total" if on_card else "self_cpu_time_total"
    for entry in sorted(record.key_averages(), key=lambda e: getattr(e, key), reverse=True)[:12]:
        say(operation=entry.key[:60], calls=entry.count, milliseconds=getattr(entry, key) / 1e3)
