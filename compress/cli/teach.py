"""`compress teach`: train a teacher on labelled data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter

from compress.cli.data import inspect
from compress.cli.models import card_of, new_model, train
from compress.compute import Compute
from compress.errors import UsageError
from compress.evaluation import evaluate
from compress.progress import console
from compress.settings import TeachSettings
from compress.tasks import DEFAULT_TEACHER, make_task
from compress.tasks.data import open_data
from compress.tasks.models.saved import save_model
from compress.tasks.teaching import DEFAULT_PLANS


def teach(
    settings: Annotated[TeachSettings | None, Parameter(name="*")] = None, *, out: Path, overwrite: bool = False
) -> None:
    """Train a network on labelled data and save it as a model directory.

    Use it as a teacher with `compress distill --teacher NAME --teacher-weights OUT/model.safetensors`. `compress
    distill` teaches and caches the default teachers of the embedded data by itself.

    Parameters
    ----------
    out
        Folder for config.json, model.safetensors and README.md.
    overwrite
        Replace the model in --out.
    """
    wanted = settings or TeachSettings()
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not overwrite):
        raise UsageError(f"{out} is not an empty folder: choose another --out or pass --overwrite")
    source = open_data(wanted.data, wanted.task, wanted.data_root, wanted.image_size, wanted.crop_size)
    usual = DEFAULT_PLANS[wanted.task]
    plan = replace(
        usual,
        steps=wanted.steps or usual.steps,
        batch=wanted.batch or usual.batch,
        learning_rate=wanted.lr or usual.learning_rate,
    )
    compute = Compute.choose(wanted.device, wanted.precision)
    name = wanted.teacher or DEFAULT_TEACHER[wanted.task]
    model = new_model(name, source, wanted.seed)
    inspect(source)
    train(model, source, plan, compute, wanted.seed)
    score = evaluate(model, make_task(source, lambda: model, lambda: model), compute.exact)
    console.print(f"{name}: {score.metric} {score.headline:.4f} on {score.count} held-out images of {source.name}")
    card = card_of(name, source, model)
    readme = (
        f"# {name}\n\nTaught on {source.name}; {score.metric} {score.headline:.4f} on {score.count} held-out images.\n"
    )
    save_model(out, model.to(torch.device("cpu")), card, readme)
    console.print(f"model directory  {out}", soft_wrap=True)
