"""A run on the fake task that takes seconds, recorded as any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from compress.methods import MethodContext
from compress.runs import rounds as recorded
from compress.runs.distill import RunOptions, carry_out
from compress.settings import DistillSettings
from compress.storage.lock import exclusive
from compress.storage.run_directory import RunDirectory
from compress.task import Batch
from compress.tasks.models.model_folder import save_model
from compress.testing import FakeTask
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers
from compress.training.progress import console

SMALL = {
    "inversion": {"samples": 16, "steps": 3, "latent": 16, "width": 8},
    "replay": {"capacity": 200},
    "distillation": {"warmup": 2, "steps": 4, "batch": 16, "lr": 0.05, "hints": 0.5},
}


class UnlabelledTask(FakeTask):
    """The fake task without held-out data: its teacher has one answer to all noise, which is no better than chance."""

    def batches(self) -> Iterator[Batch]:
        """Nothing."""
        return iter(())


def carry_out_small_run(
    folder: Path, rounds: int, seconds_between_checkpoints: float = 0.0, *, quiet: bool = True
) -> None:
    """Begin the run in `folder`, or continue it if it was begun; its student's weights are there at the end."""
    torch.set_num_threads(1)
    recorded.SECONDS_BETWEEN_CHECKPOINTS = seconds_between_checkpoints
    console.quiet = quiet
    settings = DistillSettings.model_validate({**SMALL, "distillation": {**SMALL["distillation"], "rounds": rounds}})
    torch.manual_seed(0)
    task, compute = UnlabelledTask(positions=False), Compute.choose("cpu", "fp32")
    randomness = torch.Generator().manual_seed(0)
    context = MethodContext(
        task=task,
        teacher=task.teacher(),
        student=task.student(),
        settings=settings,
        mirror=True,
        execution=Execution(compute=compute, workers=Workers(), randomness=randomness),
    )
    with exclusive(folder):
        begun = RunDirectory(folder).checkpoint.is_file()
        if not begun:
            RunDirectory.check(folder, overwrite=True)
        done = carry_out(context, task, folder, RunOptions(resume=begun, heed_signals=True))
        save_model(done.run.student, context.student, None, "")
