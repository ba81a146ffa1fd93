"""`compress distill`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import yaml
from cyclopts import Parameter

from compress.cli.flags import Switch
from compress.cli.outcome import print_outcome
from compress.runs.distill import RunOptions, check_by_name, distil_by_name
from compress.runs.resolution import resolve, resolved
from compress.runs.schema import with_own_sections
from compress.settings import DistillSettings

if TYPE_CHECKING:
    Settings = DistillSettings
else:
    Settings = with_own_sections(DistillSettings)


def distill(
    *,
    settings: Annotated[Settings | None, Parameter(name="*")] = None,
    config: str | None = None,
    out: Path | None = None,
    resume: Switch = False,
    overwrite: Switch = False,
    dry_run: Switch = False,
    init_from: Path | None = None,
    tensorboard: Switch = False,
    accept_any_student: Switch = False,
) -> None:
    """Distil a student from a teacher without data, and write a verified ONNX file.

    The run synthesises samples from the teacher, trains the student on them, scores both on held-out data if there is
    any, exports the student to ONNX and compares the file with the model. Without other flags each task uses its
    embedded data: `compress distill --task segmentation --teacher deeplabv3`. A teacher with weights needs no data:
    `compress distill --teacher resnet50 --teacher-weights FILE` takes classes and image size from the teacher, chooses
    a student and runs for --minutes.

    Settings are read in this order, and later ones win: the schema's defaults, the method's defaults, the packaged
    recipe for the data and method (`compress list configs`), --config, flags. The defaults on this page are those that
    apply with the other flags before --help. `--dry-run` prints all of them.

    Parameters
    ----------
    config
        A settings file in YAML, or the name of a packaged recipe.
    out
        Folder of the run. The default is runs/DATA-METHOD-N with the next free number.
    resume
        Continue an interrupted run: the one in --out, or the latest.
    overwrite
        Replace the run in --out.
    dry_run
        Check everything, print the settings, write nothing.
    init_from
        Start the student from the weights of this run directory, student directory or .safetensors file.
    tensorboard
        Also write the run's numbers and pictures for TensorBoard, into the run's folder `tensorboard`.
    accept_any_student
        Exit with 0 even if the student is no better than an answer that ignores the image. The exit code is 3 without
        this.
    """
    options = RunOptions(
        out=out,
        init_from=init_from,
        resume=resume,
        overwrite=overwrite,
        tensorboard=tensorboard,
        heed_signals=True,
    )
    options.check()
    flags = settings.model_dump(exclude_unset=True) if settings else {}
    chosen = resolve(flags, config, resume=resume, out=out)
    if dry_run:
        checked = check_by_name(chosen, options)
        if checked is not None:
            print(yaml.safe_dump(resolved(checked), sort_keys=False), end="")
        return
    outcome = distil_by_name(chosen, options)
    if outcome is not None:
        print_outcome(outcome)
        outcome.require(accept_any_student=accept_any_student)
