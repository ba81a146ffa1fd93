"""`compress export`: the student of a run as a verified ONNX file."""

from __future__ import annotations

from pathlib import Path

import torch

from compress.cli.data import place_of
from compress.cli.handover import report_export
from compress.errors import UsageError
from compress.export import export_verified
from compress.tasks import make_task
from compress.tasks.data import open_data
from compress.tasks.models.saved import load_model


def export(run: Path, /, *, out: Path | None = None, data_root: Path | None = None, fixed_size: bool = False) -> None:
    """Write a run's student as one ONNX file and compare it with torch in onnxruntime; exit code 3 if they differ.

    Parameters
    ----------
    run
        Run directory, model directory or .safetensors file.
    out
        The file to write; RUN/export/model.onnx if not given.
    data_root
        Where the held-out images are that both are compared on, for data on your disk.
    fixed_size
        Fix height and width to the training size even where the network takes others.
    """
    model, card = load_model(run)
    if out is None and not run.is_dir():
        raise UsageError("name the file to write with --out: the model is not in a run directory")
    if out is not None and out.is_dir():
        raise UsageError(f"--out {out} is a folder: name the file to write")
    source = open_data(card.data, card.task, data_root, usual=place_of(card))
    task = make_task(source, torch.nn.Identity, torch.nn.Identity)
    file = out or run / "export" / "model.onnx"
    images = next(task.held_out()).images
    report_export(*export_verified(task.deployable(model), task.spec, file, images, dynamic_size=not fixed_size))
