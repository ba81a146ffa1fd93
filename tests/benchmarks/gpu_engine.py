"""Parts of `gpu.py`: whether all of the engine runs, whether a seed means the same there, and too little memory."""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import replace
from typing import Any

import torch
from gpu_distiller import TINY, Say, distiller
from torch import Tensor, nn

from compress.methods import METHODS
from compress.storage.settings_files import merged
from compress.tasks.models import create_model
from compress.testing import FakeTask
from compress.training.compute import Compute
from compress.training.random_state import seed_all


def methods(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """Every method, both tasks, two rounds."""
    say(device=_name(compute), torch=torch.__version__, precision=compute.precision)
    for method, entry in METHODS.items():
        for positions in (False,) if entry.shares_classifier else (False, True):
            started, task = time.perf_counter(), FakeTask(positions=positions)
            pair = [task.teacher(), task.student()]
            if entry.shares_classifier:
                from small_networks import Halves

                pair = [Halves(8), Halves(4)]
            small = merged(TINY, {"gan": {"iterations": 2, "batch": 8, "latent": 8, "width": 8, "samples": 16}})
            rounds: list[Any] = []
            distiller(compute, method, task, *pair, small if method == "hidfd" else TINY).run(rounds.append)
            task_name = "segmentation" if positions else "classification"
            say(method=method, task=task_name, rounds=len(rounds), seconds=time.perf_counter() - started)


def same_seed(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """The same seed on the processor and on the device, in fp32: the losses of the first rounds side by side."""
    rows: list[list[dict[str, float]]] = []
    for place in (Compute(torch.device("cpu"), torch.float32), replace(compute, dtype=torch.float32, capture="off")):
        seed_all(0)
        pair = [create_model("classification", f"cifar_resnet{depth}", 10) for depth in (20, 20)]
        settings = {"inversion": {"samples": 16, "steps": 2}, "distillation": {**TINY["distillation"], "rounds": 3}}
        trained = distiller(place, "ssd-kd", FakeTask(positions=False, classes=10, size=32), *pair, settings)
        numbers: list[dict[str, float]] = []
        trained.run(lambda done, numbers=numbers: numbers.append(done.numbers))
        rows.append(numbers)
    for index, (here, there) in enumerate(zip(*rows, strict=True)):
        for name in ("one_hot", "bn", "kl"):
            if name in here:
                say(round=index, loss=name, cpu=here[name], device=there[name])


class Narrow(nn.Module):
    """Says that memory ran out whenever it is shown more than so many images: for where no card can say it."""

    def __init__(self, network: nn.Module, most: int) -> None:
        super().__init__()
        self.network, self.most = network, most

    def forward(self, images: Tensor) -> Tensor:
        """The network's logits."""
        if len(images) > self.most:
            raise torch.OutOfMemoryError
        logits: Tensor = self.network(images)
        return logits


def memory(compute: Compute, options: argparse.Namespace, say: Say) -> None:
    """Out of memory on purpose: a share of the card for a batch that does not fit into it."""
    if compute.device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(0.02)
    pair = [create_model("classification", f"cifar_resnet{depth}", 10) for depth in (34, 18)]
    batch = 8 if options.tiny else 2048
    if compute.device.type != "cuda":
        pair = [Narrow(network, batch // 2) for network in pair]
    plan = {"rounds": 2, "warmup": 0, "steps": 1, "batch": batch, "lr": 0.01}
    settings = {"inversion": {"samples": batch, "steps": 1}, "distillation": plan}
    trained = distiller(compute, "ssd-kd", FakeTask(positions=False, classes=10, size=32), *pair, settings)
    notices: list[str | None] = []
    trained.run(lambda done: notices.append(done.notice))
    parts = {"inversion": trained.inversion.micro_batches, "student": trained.student_step.micro_batches}
    say(**parts, notices="; ".join(filter(None, notices)) or "nothing ran out")


def _name(compute: Compute) -> str:
    if compute.device.type == "cuda":
        return torch.cuda.get_device_name(compute.device)
    return f"{compute.device.type}, {platform.machine()}"
