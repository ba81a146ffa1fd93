"""A round's inversion and a student's step of the engine beside a plain loop's, on the processor, as ratios.

    python tests/benchmarks/steps.py [--before REVISION] [--repeats 7]

The plain loop (`plain_steps.py`) has the same networks and losses and none of the engine's guards, buffer and views.
With `--before` the engine of an earlier revision of this repository takes turns with today's, in a process of its own.
Written are the medians to `results/steps.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
SAMPLES, STEPS, BATCH, CLASSES, MANY = 64, 5, 64, 10, 10_000
Times = tuple[float, float]
"""Seconds of an inversion and of a step of the student, of one thread's processor time: other work does not count."""


def networks() -> list[Any]:
    """ResNet-20 as teacher, with the batch statistics of noise, and another one as student."""
    import torch

    from compress.tasks.models import create_model

    torch.manual_seed(0)
    pair = [create_model("classification", "cifar_resnet20", CLASSES) for _ in range(2)]
    with torch.no_grad():
        for _ in range(10):
            pair[0](torch.rand(64, 3, 32, 32))
    return pair


def plain() -> Callable[[], Times]:
    """The plain loop's."""
    import torch
    from plain_steps import InversionLoop, StudentLoop

    from compress.training.compute import Compute

    compute, pair = Compute.choose("cpu", "fp32"), networks()
    for network in pair:
        compute.place(network)
    pair[0].requires_grad_(requires_grad=False)
    inversion, student = (loop(*pair, compute, SAMPLES, 32) for loop in (InversionLoop, StudentLoop))

    def measure() -> Times:
        started = time.process_time()
        for _ in range(STEPS):
            inversion.step()
        between = time.process_time()
        for _ in range(STEPS):
            student.step()
        return between - started, (time.process_time() - between) / STEPS

    torch.set_num_threads(1)
    return measure


def engine() -> Callable[[], Times]:
    """The engine's: FastDFKD, whose conditional generator, terms and buffer are those of the other methods too."""
    from dataclasses import replace
    from types import SimpleNamespace

    import torch

    from compress.distillation import distiller as engine_module
    from compress.methods import METHODS, MethodContext
    from compress.settings import DistillSettings
    from compress.testing import FakeTask

    torch.set_num_threads(1)
    engine_module.time = SimpleNamespace(perf_counter=time.process_time)  # type: ignore[attr-defined]
    plan = {"rounds": MANY, "warmup": 0, "steps": STEPS, "batch": BATCH, "lr": 0.01}
    settings = DistillSettings.model_validate(
        {"device": "cpu", "precision": "fp32", "inversion": {"samples": SAMPLES, "steps": STEPS},
         "replay": {"capacity": 1024}, "distillation": plan}
    )  # fmt: skip
    task = FakeTask(positions=False, classes=CLASSES, size=32)
    distiller = METHODS["fast-dfkd"].build(MethodContext.of(task, *networks(), settings))

    def measure() -> Times:
        distiller.plan = replace(distiller.plan, rounds=distiller.next_round + 1)
        before = dict(distiller.seconds)
        distiller.run(lambda _: None)
        inversion, student = (distiller.seconds[half] - before[half] for half in ("inversion", "distillation"))
        return inversion, student / STEPS

    return measure


ARMS: dict[str, Callable[[], Callable[[], Times]]] = {"plain": plain, "engine": engine, "engine before": engine}


def serve(arm: str) -> None:
    """Measure once for every line that comes in; the code of `compress` is that of PYTHONPATH."""
    measure = ARMS[arm]()
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)


@contextmanager
def turns(arm: str, root: Path) -> Iterator[Callable[[], Times]]:
    """While entered, a process that measures an arm with the code in `root` whenever it is called."""
    paths = os.pathsep.join([str(root), str(ROOT / "tests" / "benchmarks")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, __file__, "--serve", arm], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment, cwd=root,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        orders, answers = process.stdin, process.stdout

        def measure() -> Times:
            orders.write("go\n")
            orders.flush()
            inversion, student = json.loads(answers.readline())
            return inversion, student

        yield measure
        orders.close()


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", help="a revision to compare with, such as a tag or HEAD~3")
    parser.add_argument("--repeats", type=int, default=7, help="timed rounds of each arm")
    parser.add_argument("--serve", choices=ARMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    with ExitStack() as stack:
        places = {"plain": ROOT, "engine": ROOT}
        if options.before:
            places["engine before"] = checked_out(
                options.before, Path(stack.enter_context(tempfile.TemporaryDirectory()))
            )
        arms = {arm: stack.enter_context(turns(arm, place)) for arm, place in places.items()}
        times = [{arm: measure() for arm, measure in arms.items()} for _ in range(options.repeats + 2)][2:]
    rows = []
    for half, name in enumerate((f"inversion, {STEPS} steps of {SAMPLES}", f"a student's step of {BATCH}")):
        medians = {arm: statistics.median(turn[arm][half] for turn in times) for arm in places}
        ratios = {f"{arm} / plain": round(medians[arm] / medians["plain"], 3) for arm in places if arm != "plain"}
        rows.append({"what": name, **{f"{arm}, ms": round(1e3 * s, 1) for arm, s in medians.items()}, **ratios})
    facts = {"machine": platform.machine(), "before": options.before, "repeats": options.repeats, "rows": rows}
    RESULTS.joinpath("steps.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts, indent=1))


def checked_out(revision: str, folder: Path) -> Path:
    """The repository's files at a revision."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", revision], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


if __name__ == "__main__":
    main()
