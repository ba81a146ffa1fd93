"""The engine's round against the same mathematics written the plain way (`plain_round.py`), in one run, as ratios.

    python tests/benchmarks/bench_round.py [--teacher-weights FILE]

ResNet-56 to ResNet-20 on images of 32 pixels: 5 inversion steps of 256 images, distillation steps of 256. The arms run
in processes of their own and take turns; each number is the median over the repeats after an untimed first round. A
whole round is an inversion and the stated number of distillation steps, computed from the two medians.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from plain_round import PlainDistiller, PlainGenerator
from separate_processes import CLOCKS, Apart
from tables import markdown
from torch import nn

from compress.methods import METHODS, MethodContext
from compress.settings import DistillSettings
from compress.storage.files import write_text
from compress.synthesis.inversion import Inversion
from compress.task import Samples, Statistics
from compress.tasks.models import create_model, fit_weights, read_weights
from compress.testing import FakeTask
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers

RESULTS = Path(__file__).parent / "results"
SAMPLES, STEPS, BATCH, CLASSES = 256, 5, 256, 10
ROUNDS = {"a round of SSD-KD": 100, "a round of FastDFKD": 400}
"""Distillation steps in a whole round: the engine's default, and the paper's."""
MANY = 1000  # rounds: more than are ever run
Times = tuple[float, float]
"""Seconds of an inversion and of a distillation step."""


class Timed:
    """An inversion that remembers how long its last round took."""

    def __init__(self, inversion: Inversion, clock: str) -> None:
        self._inversion, self._clock, self.micro_batches = inversion, CLOCKS[clock], 1
        self.state_dict, self.load_state_dict, self.renew = (
            inversion.state_dict, inversion.load_state_dict, inversion.renew
        )  # fmt: skip
        self.seconds = 0.0

    def round(self, index: int, randomness: torch.Generator) -> tuple[Samples, dict[str, float]]:
        """See `Inversion`."""
        started = self._clock()
        samples = self._inversion.round(index, randomness)
        self.seconds = self._clock() - started
        return samples

    def state_dict(self) -> dict[str, Any]:
        """See `Inversion`."""
        return self._inversion.state_dict()


def networks(weights: Path | None) -> tuple[nn.Module, nn.Module]:
    """Teacher and student; without weights the teacher's batch statistics are at least those of noise."""
    teacher, student = (create_model("classification", f"cifar_resnet{depth}", CLASSES) for depth in (56, 20))
    if weights:
        fit_weights(teacher.network, read_weights(weights), weights.name)
    else:
        with torch.no_grad():
            for _ in range(20):
                teacher(torch.rand(64, 3, 32, 32))
    return teacher.eval().requires_grad_(requires_grad=False), student


def pool_images(count: int) -> torch.Tensor:
    """What both pools are filled with before the first round: `[n, 3, 32, 32]` in [0, 1], of an untrained generator."""
    generator = PlainGenerator()
    with torch.no_grad():
        return torch.cat([generator(torch.randn(100, 256)) for _ in range(-(-count // 100))])[:count]


def plain_arm(weights: Path | None, pool: int, steps: int, clock: str, workers: int) -> Callable[[], Times]:
    """The field's way."""
    folder = tempfile.TemporaryDirectory()
    distiller = PlainDistiller(*networks(weights), Path(folder.name), BATCH, workers)
    distiller.store(pool_images(pool))

    def measure() -> Times:
        assert folder.name  # the folder lives as long as this function
        started = CLOCKS[clock]()
        distiller.invert(SAMPLES, STEPS)
        between = CLOCKS[clock]()
        distiller.distil(steps)
        return between - started, (CLOCKS[clock]() - between) / steps

    return measure


def engine_arm(
    weights: Path | None, pool: int, steps: int, clock: str, method: str, precision: str
) -> Callable[[], Times]:
    """Ours; taking the samples into the buffer counts as distillation."""
    teacher, student = networks(weights)
    settings = DistillSettings.model_validate(
        {
            "inversion": {"samples": SAMPLES, "steps": STEPS},
            "replay": {"capacity": max(pool, SAMPLES)},
            "distillation": {"rounds": MANY, "warmup": 0, "steps": steps, "batch": BATCH, "lr": 0.01},
        }
    )
    compute = Compute.choose("cpu", precision)
    for network in (teacher, student):
        compute.place(network)
    task = FakeTask(positions=False, classes=CLASSES, size=32)
    randomness = torch.Generator().manual_seed(0)
    given = MethodContext(
        task=task,
        teacher=teacher,
        student=student,
        settings=settings,
        mirror=True,
        execution=Execution(compute=compute, workers=Workers(), randomness=randomness),
    )
    distiller = METHODS[method].build(given)
    inversion = Timed(distiller.inversion, clock)
    distiller.inversion = inversion
    distiller.buffer.add(as_noted(pool_images(pool)))

    def measure() -> Times:
        distiller.plan = replace(distiller.plan, rounds=distiller.next_round + 1)
        started = CLOCKS[clock]()
        distiller.run(lambda _: None)
        return inversion.seconds, (CLOCKS[clock]() - started - inversion.seconds) / steps

    return measure


def as_noted(images: torch.Tensor) -> Samples:
    """Images in [0, 1] as a record for the buffer, their classes in turn."""
    classes = torch.arange(len(images)) % CLASSES
    statistics = Statistics(torch.full((len(images),), 0.5), nn.functional.one_hot(classes, CLASSES).float())
    return Samples(images.mul(255).round().to(torch.uint8), classes, statistics)


def rows_of(plain: list[Times], engine: list[Times]) -> list[dict[str, float | str]]:
    """Medians of both arms and their ratios, for each half and for whole rounds."""
    inversion, distillation = (
        tuple(statistics.median(times[half] for times in arm) for arm in (plain, engine)) for half in (0, 1)
    )
    pairs = {f"inversion, {STEPS} steps of {SAMPLES}": inversion, f"distillation, a step of {BATCH}": distillation}
    for name, steps in ROUNDS.items():
        whole = tuple(i + steps * d for i, d in zip(inversion, distillation, strict=True))
        pairs[f"{name}: inversion and {steps} steps"] = whole
    return [
        {"what": name, "plain_seconds": before, "engine_seconds": after, "ratio": before / after}
        for name, (before, after) in pairs.items()
    ]


def main() -> None:
    """Measure, print, and write `results/round.json` and `results/round.md`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher-weights", type=Path, help="weights of a ResNet-56; random ones take as long")
    parser.add_argument("--method", choices=("fast-dfkd", "ssd-kd"), default="fast-dfkd", help="of the engine")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="of the engine")
    parser.add_argument("--samples", type=int, default=5000, help="images in both pools before the first round")
    parser.add_argument("--repeats", type=int, default=5, help="timed rounds of each arm")
    parser.add_argument("--steps", type=int, default=4, help="distillation steps in a timed round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch, in each arm")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor time, on a machine with other work")
    parser.add_argument("--workers", type=int, default=0, help="processes of the plain arm's DataLoader")
    given = parser.parse_args()
    shared = {"weights": given.teacher_weights, "pool": given.samples, "steps": given.steps, "clock": given.clock}
    with (
        Apart(plain_arm, given.threads, **shared, workers=given.workers) as plain,
        Apart(engine_arm, given.threads, **shared, method=given.method, precision=given.precision) as engine,
    ):
        turns = [(plain(), engine()) for _ in range(given.repeats + 1)][1:]
    rows = rows_of([turn[0] for turn in turns], [turn[1] for turn in turns])
    header = ["", "plain, s", "engine, s", "ratio"]
    cells = [
        [f"{r['what']}", f"{r['plain_seconds']:.3f}", f"{r['engine_seconds']:.3f}", f"{r['ratio']:.1f}"] for r in rows
    ]
    options = {key: value for key, value in vars(given).items() if key != "teacher_weights"}
    precision = Compute.choose("cpu", given.precision).precision
    kept = {**options, "precision": precision, "torch": torch.__version__, "machine": platform.machine()}
    title = (
        f"The engine ({given.method}, {precision}) against the plain way, {given.threads} threads, {given.clock} time"
    )
    write_text(RESULTS / "round.md", f"{title}\n\n{markdown(header, cells)}")
    write_text(RESULTS / "round.json", json.dumps({**kept, "rows": rows, "turns": turns}, indent=1) + "\n")
    print(f"{title}\n\n{markdown(header, cells)}")


if __name__ == "__main__":
    main()
