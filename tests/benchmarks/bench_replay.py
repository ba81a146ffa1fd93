"""What a large replay buffer costs: time of a distillation step, of a draw and of adding, and memory, by its size.

    python tests/benchmarks/bench_replay.py

Each size fills a buffer with random images of 3x32x32 in chunks and then runs the engine's loop on it, ResNet-56 to
ResNet-20, batch 256, with SSD-KD's priorities; the sizes run in processes of their own and take turns. Memory is the
growth of the process's resident memory, Linux with glibc only: at the end of filling, and at its peak during it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import resource
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from separate_processes import CLOCKS, Apart
from tables import markdown
from torch.nn.functional import one_hot

from compress.distillation.distillation_loss import SoftLabels
from compress.distillation.distiller import Distiller
from compress.distillation.plan import DistillationPlan
from compress.replay.buffer import Draw, ReplayBuffer
from compress.replay.policies import Balanced, Prioritised, newest
from compress.storage.files import write_text
from compress.task import Samples, Statistics
from compress.tasks.models import create_model
from compress.testing import FakeTask
from compress.training.augment import RandomView
from compress.training.compute import CPU_FLOAT32, Compute
from compress.training.execution import Execution
from compress.training.optimizers import make_optimizer
from compress.training.parallel import Workers
from compress.training.random_numbers import RandomNumbers
from compress.training.schedules import Constant

RESULTS = Path(__file__).parent / "results"
SHAPE, CHUNK, BATCH, NEW = (3, 32, 32), 10_000, 256, 256
KEEP = {"newest": newest, "balanced": Balanced(2.0)}
ON_CPU = CPU_FLOAT32


@dataclass(frozen=True)
class Repeated:
    """An inversion that costs nothing."""

    samples: Samples
    micro_batches = 1

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """The same samples every time."""
        return self.samples, {}

    def state_dict(self) -> dict[str, Any]:
        """Nothing is kept from round to round."""
        return {}


@dataclass
class TimedBuffer:
    """A replay buffer that notes what its parts cost, in seconds."""

    inner: ReplayBuffer
    clock: Callable[[], float]
    adding: list[float] = field(default_factory=list)
    drawing: list[float] = field(default_factory=list)
    refreshing: list[float] = field(default_factory=list)

    def add(self, samples: Samples) -> int:
        """See `ReplayBuffer`."""
        started = self.clock()
        admitted = self.inner.add(samples)
        self.adding.append(self.clock() - started)
        return admitted

    def numbers(self) -> dict[str, float]:
        """See `ReplayBuffer`."""
        return self.inner.numbers()

    def draw(self, n: int, numbers: RandomNumbers) -> Draw:
        """See `ReplayBuffer`."""
        started = self.clock()
        drawn = self.inner.draw(n, numbers)
        self.drawing.append(self.clock() - started)
        return drawn

    def refresh(self, drawn: Draw, divergence: torch.Tensor, step_taken: torch.Tensor) -> None:
        """See `ReplayBuffer`."""
        started = self.clock()
        self.inner.refresh(drawn, divergence, step_taken)
        self.refreshing.append(self.clock() - started)

    def latest(self, steps: int) -> dict[str, float]:
        """Seconds of the last round: of adding, and the median draw with its refresh."""
        pairs = zip(self.drawing[-steps:], self.refreshing[-steps:], strict=True)
        return {"add": self.adding[-1], "draw": statistics.median(draw + refresh for draw, refresh in pairs)}


def noise(count: int, classes: int, randomness: torch.Generator) -> Samples:
    """Random images with random statistics."""
    predicted = torch.randint(classes, (count,), generator=randomness)
    statistics = Statistics(torch.rand(count, generator=randomness), one_hot(predicted, classes).float())
    images = torch.randint(256, (count, *SHAPE), dtype=torch.uint8, generator=randomness)
    return Samples(images, predicted, statistics)


def resident() -> int:
    """Bytes of this process that are in memory, once freed ones are handed back to the system."""
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak() -> int:
    """The most they have been, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def filled(buffer: ReplayBuffer, size: int, classes: int, randomness: torch.Generator) -> dict[str, float]:
    """Fill the buffer, and return what that did to the memory, the chunk itself not counted."""
    chunk = noise(min(CHUNK, size), classes, randomness)
    ReplayBuffer(len(chunk.images), newest, Prioritised(0.5), ON_CPU).add(chunk)  # loads the code that adding needs
    before, highest = resident(), peak()
    for _ in range(-(-size // CHUNK)):
        buffer.add(chunk)
    images = size * SHAPE[0] * SHAPE[1] * SHAPE[2]
    growth, at_peak = resident() - before, peak() - before
    return {
        "image_bytes": images,
        "held_bytes": growth,
        "held_more": growth / images - 1,
        "peak_bytes": at_peak if peak() > highest else 0,
        "peak_more": at_peak / images - 1,
    }


def buffer_of(
    size: int, steps: int, keep: str, classes: int, precision: str, clock: str
) -> Callable[[], dict[str, Any]]:
    """A buffer of that size and a loop on it; what is measured is one round of the loop."""
    randomness = torch.Generator().manual_seed(0)
    buffer = ReplayBuffer(size, KEEP[keep], Prioritised(beta=0.5), ON_CPU)
    memory = filled(buffer, size, classes, randomness)
    timed = TimedBuffer(buffer, CLOCKS[clock])
    teacher, student = (create_model("classification", f"cifar_resnet{depth}", 10) for depth in (56, 20))
    compute = Compute.choose("cpu", precision)
    for network in (teacher, student):
        compute.place(network)
    distiller = Distiller(
        task=FakeTask(positions=False, classes=10, size=SHAPE[1]),
        teacher=teacher.eval(),
        student=student,
        inversion=Repeated(noise(NEW, classes, randomness)),
        buffer=timed,
        optimizer=make_optimizer("sgd", student, 0.01, 1e-4),
        plan=DistillationPlan(
            rounds=0,
            warmup_rounds=0,
            steps_per_round=steps,
            batch=BATCH,
            distillation_loss=SoftLabels(20.0),
            learning_rate=Constant(0.01),
            augment=RandomView(shift=4, flip=True),
        ),
        execution=Execution(compute=compute, workers=Workers(), randomness=randomness),
    )

    def measure() -> dict[str, Any]:
        distiller.plan = replace(distiller.plan, rounds=distiller.next_round + 1)
        started = CLOCKS[clock]()
        distiller.run(lambda _: None)
        seconds = CLOCKS[clock]() - started - timed.adding[-1]
        return {"memory": memory, "step": seconds / steps, **timed.latest(steps)}

    return measure


def row_of(size: int, turns: list[dict[str, Any]]) -> dict[str, float]:
    """Medians over the rounds of one size; memory is that of its one filling."""
    medians = {part: statistics.median(turn[part] for turn in turns) for part in ("step", "draw", "add")}
    return {"size": size, **{f"{part}_seconds": seconds for part, seconds in medians.items()}, **turns[0]["memory"]}


def cells_of(row: dict[str, float], smallest: dict[str, float]) -> list[str]:
    """One line of the table; `smallest` is the row that growth is measured against."""
    grown = (row["draw_seconds"] - smallest["draw_seconds"]) / smallest["step_seconds"]
    return [
        f"{row['size']:,}",
        f"{1000 * row['step_seconds']:.1f}",
        f"{100 * (row['step_seconds'] / smallest['step_seconds'] - 1):+.1f} %",
        f"{1000 * row['draw_seconds']:.2f}",
        f"{100 * grown:+.1f} %",
        f"{1000 * row['add_seconds']:.1f}",
        f"{row['image_bytes'] / 1e6:,.1f}",
        f"{100 * row['held_more']:+.1f} %",
        f"{100 * row['peak_more']:+.1f} %",
    ]


def main() -> None:
    """Measure, print, and write `results/replay.json` and `results/replay.md`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help="samples held")
    parser.add_argument("--keep", choices=KEEP, default="balanced", help="which samples stay")
    parser.add_argument("--classes", type=int, default=10, help="length of a sample's class histogram")
    parser.add_argument("--steps", type=int, default=10, help="distillation steps in a timed round")
    parser.add_argument("--repeats", type=int, default=5, help="timed rounds of each size, after one untimed")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="of the networks")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor time, on a machine with other work")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch, in each process")
    options = parser.parse_args()
    shared = {name: vars(options)[name] for name in ("keep", "classes", "steps", "precision", "clock")}
    with ExitStack() as stack:
        sizes = [
            stack.enter_context(Apart(buffer_of, options.threads, size=size, **shared))
            for size in sorted(options.sizes)
        ]
        turns = [[measure() for measure in sizes] for _ in range(options.repeats + 1)][1:]
    by_size = zip(sorted(options.sizes), zip(*turns, strict=True), strict=True)
    rows = [row_of(size, list(own)) for size, own in by_size]
    header = ["samples", "step, ms", "step grows", "draw and refresh, ms", "in steps", "add 256, ms"]
    header += ["images, MB", "held beyond images", "peak of filling"]
    table = markdown(header, [cells_of(row, rows[0]) for row in rows])
    title = f"A distillation step of {BATCH} by the size of the buffer, {options.threads} threads, {options.clock}"
    kept = {**vars(options), "torch": torch.__version__, "rows": rows}
    write_text(RESULTS / "replay.md", f"{title}\n\n{table}")
    write_text(RESULTS / "replay.json", json.dumps(kept, indent=1) + "\n")
    print(f"{title}\n\n{table}")


if __name__ == "__main__":
    main()
