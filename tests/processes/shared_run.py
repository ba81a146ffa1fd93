"""A small run on the fake task, alone or as one of several workers: `torchrun ... shared_run.py FOLDER`."""

import sys
from pathlib import Path
from typing import Any

import torch
from small_networks import without_normalisation
from torch import nn

from compress.distillation.distiller import Distiller
from compress.methods import METHODS, MethodContext
from compress.settings import DistillSettings
from compress.storage.settings_files import merged
from compress.synthesis.inversion import GeneratorInversion
from compress.testing import FakeTask
from compress.training.compute import CPU_FLOAT32
from compress.training.execution import Execution
from compress.training.parallel import Workers
from compress.training.random_state import seed_all

SETTINGS = {
    "inversion": {"samples": 12, "steps": 3, "latent": 16, "width": 8},
    "replay": {"capacity": 30},
    "distillation": {
        "rounds": 4,
        "warmup": 1,
        "steps": 4,
        "batch": 8,
        "lr": 0.05,
        "hints": 0.5,
        "shuffle_channels": True,
    },
}


def make(workers: Workers, method: str, *, positions: bool, normalised: bool) -> Distiller:
    seed_all(0)
    task, compute = FakeTask(positions=positions), CPU_FLOAT32
    teacher, student, settings = task.teacher(), task.student(), DistillSettings.model_validate(SETTINGS)
    if not normalised:
        without_normalisation(student)
        # which of several steps is kept hangs on the last bit where two are as good
        settings = DistillSettings.model_validate(merged(SETTINGS, {"inversion": {"steps": 1}}))
    if method == "fast-dfkd":  # one of the methods runs with the substitute prior
        without_normalisation(teacher)
    randomness = torch.Generator().manual_seed(0)
    context = MethodContext(
        task=task,
        teacher=teacher,
        student=student,
        settings=settings,
        mirror=True,
        execution=Execution(compute=compute, workers=workers, randomness=randomness),
    )
    distiller = METHODS[method].build(context)
    if not normalised and isinstance(distiller.inversion, GeneratorInversion):
        without_normalisation(distiller.inversion._generator)
    return distiller


def run(workers: Workers, method: str, *, positions: bool, normalised: bool) -> dict[str, Any]:
    """The state at the end and the numbers of each round."""
    distiller, numbers = make(workers, method, positions=positions, normalised=normalised), []
    distiller.run(lambda done: numbers.append(done.numbers))
    state = distiller.state_dict()
    del state["seconds"]  # the clock is each worker's own
    return {**state, "numbers": numbers}


def run_all(workers: Workers) -> dict[str, Any]:
    """Both tasks, with batch normalisation and without."""
    return {
        f"{method} positions={positions} normalised={normalised}": run(
            workers, method, positions=positions, normalised=normalised
        )
        for method in ("ssd-kd", "fast-dfkd", "deep-inversion", "zskt")
        for positions in (False, True)
        for normalised in (False, True)
    }


def aligned(workers: Workers) -> bool:
    """Whether a model that differs from worker to worker takes the first one's weights."""
    model, reference = (nn.Linear(3, 2) for _ in range(2))
    nn.init.constant_(model.weight, workers.rank)
    nn.init.constant_(reference.weight, 0)
    workers.align(model)
    return torch.equal(model.weight, reference.weight)


if __name__ == "__main__":
    torch.set_num_threads(1)
    workers = Workers.from_environment()
    with workers.joined(torch.device("cpu")):
        results = {"runs": run_all(workers), "aligned": aligned(workers), "any": workers.any(workers.rank == 1)}
        torch.save(results, Path(sys.argv[1]) / f"{workers.rank}.pt")
