"""`compress teach`: train a teacher on labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from compress.cli.flags import Switch
from compress.runs.teach import teach as run_teaching
from compress.settings import TeachSettings
from compress.training.progress import console


def teach(
    *,
    settings: Annotated[TeachSettings | None, Parameter(name="*")] = None,
    out: Path,
    resume: Switch = False,
    overwrite: Switch = False,
) -> None:
    """Train a teacher on labelled data.

    The result is a model directory. Use it with `compress distill --teacher NAME --teacher-weights
    OUT/model.safetensors`. `compress distill` trains and caches the default teachers of the embedded data by itself. A
    default of `recipe` depends on the task and data.

    Parameters
    ----------
    out
        Folder for config.json, model.safetensors, README.md, report.json and pictures of predictions.
    resume
        Continue an interrupted training in --out.
    overwrite
        Replace the model in --out.
    """
    taught = run_teaching(settings or TeachSettings(), out, resume=resume, overwrite=overwrite, heed_signals=True)
    score = taught.score
    console.print(
        f"{taught.network}: {score.metric} {score.headline:.4f} on {score.count} held-out images of {taught.data}"
    )
    console.print(f"model directory  {taught.folder}", soft_wrap=True)
