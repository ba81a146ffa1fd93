"""`compress distill`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from cyclopts import Parameter

from compress.cli.outcome import print_outcome
from compress.runs.distill import RunOptions, check_by_name, distil_by_name
from compress.runs.resolution import resolve, resolved
from compress.settings import DistillSettings


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
    chosen = resolve(settings.model_dump(exclude_unset=True) if settings else {}, config)
    options = RunOptions(
        out=out,
        init_from=init_from,
        resume=resume,
        overwrite=overwrite,
        tensorboard=tensorboard,
        heed_signals=True,
    )
    if dry_run:
        if check_by_name(chosen, options):
            print(yaml.safe_dump(resolved(chosen), sort_keys=False), end="")
        return
    outcome = distil_by_name(chosen, options)
    if outcome is not None:
        print_outcome(outcome)
        outcome.require()
