"""`compress distill`: the main job."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import yaml
from cyclopts import Parameter

from compress.errors import UsageError
from compress.methods import find_method
from compress.runs.data import inspect
from compress.runs.distill import carry_out, ingredients, prepared, run_folder
from compress.runs.events import require_tensorboard
from compress.runs.handover import hand_over
from compress.runs.models import (
    card_of,
    find_teacher,
    fit_teacher,
    new_model,
    read_collected_images,
    require_origin,
    student_of,
)
from compress.runs.origin import begin_with
from compress.runs.resolution import resolve, resolved
from compress.runs.rounds import follow
from compress.settings import DistillSettings
from compress.storage.lock import exclusive
from compress.tasks.data import open_data
from compress.training.compute import Compute
from compress.training.parallel import Workers
from compress.training.progress import console


def distill(
    settings: Annotated[DistillSettings | None, Parameter(name="*")] = None,
    *,
    config: str | None = None,
    out: Path | None = None,
    init_from: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    tensorboard: bool = False,
) -> None:
    """Make samples from a teacher, distil a student on them, score it on real data, export it to ONNX and verify it.

    Without other flags a task runs on its embedded data: `compress distill --task segmentation --teacher deeplabv3`.
    Settings come from the schema's defaults, then the method's own, then the packaged recipe for the data and method
    (`compress list configs`), then `--config`, then flags; `--dry-run` prints what they come to.

    Parameters
    ----------
    config
        A YAML file with settings, or the name of a packaged recipe.
    out
        Folder of the run; `runs/DATA-METHOD-N` if not given.
    init_from
        The student begins with the weights of this run directory, student directory or .safetensors file.
    resume
        Continue an interrupted run: the one in --out, or the latest.
    overwrite
        Replace the run in --out.
    dry_run
        Check everything, print the settings, write nothing.
    tensorboard
        Also write the run's numbers and pictures for TensorBoard, into the folder `tensorboard` of the run.
    """
    if resume and init_from:
        raise UsageError("--resume goes on with the run's own student and --init-from begins with another: pass one")
    wanted = resolve(settings.model_dump(exclude_unset=True) if settings else {}, config)
    workers = _workers(wanted)
    if tensorboard and workers.leads:
        require_tensorboard()
    source = open_data(wanted.data, wanted.task, wanted.data_root, wanted.image_size, wanted.crop_size)
    require_origin(_required(wanted.teacher), wanted.teacher_weights, source)
    compute = Compute.choose(wanted.device, wanted.precision)
    collected = read_collected_images(wanted, source)
    student = new_model(_required(wanted.student), source, wanted.seed)
    inspect(source)
    if dry_run:
        name, weights = _required(wanted.teacher), wanted.teacher_weights
        teacher = fit_teacher(name, weights, source, wanted.seed) if weights else new_model(name, source, wanted.seed)
        student = student_of(wanted.method, student, teacher, source, wanted.seed)
        if init_from:
            begin_with(student, init_from)
        if workers.leads:
            print(yaml.safe_dump(resolved(wanted), sort_keys=False), end="")
        return
    with ExitStack() as held:
        with workers.joined(compute.device):
            if not workers.leads:
                teacher = new_model(_required(wanted.teacher), source, wanted.seed).eval()
                follow(prepared(ingredients(teacher, student, wanted, source, compute, workers, collected)))
                return
            folder = run_folder(source, wanted, out, resume=resume, overwrite=overwrite)
            held.enter_context(exclusive(folder))
            teacher = find_teacher(_required(wanted.teacher), wanted.teacher_weights, source, compute, wanted.seed)
            student = student_of(wanted.method, student, teacher, source, wanted.seed)
            began_with = begin_with(student, init_from) if init_from else None
            given = ingredients(teacher, student, wanted, source, compute, workers, collected)
            done = carry_out(given, folder, resume=resume, began_with=began_with, tensorboard=tensorboard)
        hand_over(done, source, card_of(_required(wanted.student), source, student))


def _workers(wanted: DistillSettings) -> Workers:
    """This process among those that torchrun started; only the first of them is heard."""
    workers = Workers.from_environment()
    console.quiet = not workers.leads
    if workers.size > 1 and find_method(wanted.method).one_process:
        raise UsageError(f"{wanted.method} runs in one process only: leave out torchrun or use --method ssd-kd")
    workers.require_shares(
        {"inversion.samples": wanted.inversion.samples, "distillation.batch": wanted.distillation.batch}
    )
    return workers


def _required(name: str | None) -> str:
    assert name is not None, "resolve() fills the names"
    return name
