"""How two processes share the gradients of a student's step: our one message against DistributedDataParallel, by gloo.

    python tests/benchmarks/gradients.py [--steps 12]

Two processes train the same student on halves of a batch; the two ways take turns, step by step. Written are the
medians of their times to `results/gradients.json`, beside the time of a step that shares nothing: what either costs.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.autograd import backward
from torch.nn.parallel import DistributedDataParallel

from compress.storage.files import write_text
from compress.tasks.models import create_model
from compress.training.optimizers import make_optimizer
from compress.training.parallel import Workers

RESULTS = Path(__file__).parent / "results"
STUDENTS = {"cifar_resnet20": 128, "cifar_resnet18": 32}
"""Students and the batch of both processes: 0.3 and 11 million parameters."""


def main() -> None:
    """Start the two processes, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="timed steps of each way")
    options = parser.parse_args()
    workers = Workers.from_environment()
    if workers.size == 1:
        words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
        subprocess.run([sys.executable, *words, "--steps", str(options.steps)], check=True)
        return
    torch.set_num_threads(1)
    with workers.joined(torch.device("cpu")):
        rows = [measured(name, batch, workers, options.steps) for name, batch in STUDENTS.items()]
    if workers.leads:
        facts = {"torch": torch.__version__, "machine": platform.machine(), "processes": workers.size, "rows": rows}
        write_text(RESULTS / "gradients.json", json.dumps(facts, indent=1) + "\n")
        print(json.dumps(facts, indent=1))


def measured(name: str, batch: int, workers: Workers, count: int) -> dict[str, object]:
    """Milliseconds of a step of the student of that name in each way."""
    images = torch.rand(batch, 3, 32, 32)[workers.share(batch)].contiguous(memory_format=torch.channels_last)
    steps = {way: step_of(way, name, images, workers) for way in ("alone", "one message", "DistributedDataParallel")}
    seconds: dict[str, list[float]] = {way: [] for way in steps}
    for turn in range(count + 2):
        for way, step in steps.items():
            workers.any(False)  # both begin together
            started = time.perf_counter()
            step()
            if turn >= 2:
                seconds[way].append(time.perf_counter() - started)
    medians = {f"{way}, ms": round(1e3 * statistics.median(times), 1) for way, times in seconds.items()}
    return {"student": name, "batch": batch, **medians}


def step_of(way: str, name: str, images: torch.Tensor, workers: Workers) -> Callable[[], None]:
    """A step of a new student of that name; `alone` shares nothing."""
    torch.manual_seed(0)
    student: nn.Module = create_model("classification", name, 10).to(memory_format=torch.channels_last)
    optimizer = make_optimizer("sgd", student, 0.01, 1e-4)
    answering = student
    if way == "DistributedDataParallel":
        answering = DistributedDataParallel(student, static_graph=True, gradient_as_bucket_view=True)
    exchange = workers.exchange(optimizer, student.parameters()) if way == "one message" else None

    def step() -> None:
        optimizer.zero_grad()
        backward(answering(images).square().mean())
        if exchange:
            exchange()
        optimizer.step()

    return step


if __name__ == "__main__":
    main()
