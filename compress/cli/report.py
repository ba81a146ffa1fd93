"""`compress report`: the page of a run."""

from __future__ import annotations

from pathlib import Path

import torch

from compress.errors import UsageError
from compress.report import write_page
from compress.report.record import read_json, read_record
from compress.runs.exported import exported_files
from compress.settings import DistillSettings
from compress.storage.run_directory import RunDirectory
from compress.storage.settings_files import load_config, validated
from compress.task import Task
from compress.tasks import make_task
from compress.tasks.data import SOURCES, open_data
from compress.training.progress import console, output


def report(run: Path, /) -> None:
    """Write RUN/report.html: one file, for any browser, that needs no network.

    `compress distill` does this at its end. Do it again for a run that was interrupted, to see how far it is, or
    after `compress export`: files in RUN/export that were not scored yet are, where the held-out data is at hand.

    Parameters
    ----------
    run
        Run directory.
    """
    folder = RunDirectory.open(run)
    results = read_json(folder.path / "report.json")
    if results:
        known, metric = results.get("exported", {}), read_record(folder).metric
        files = exported_files(folder.onnx.parent, known, metric, _task(folder) if results["data"] else None)
        folder.write_report({**results, "exported": files})
    output.print(f"report         {write_page(folder)}", soft_wrap=True)


def _task(run: RunDirectory) -> Task | None:
    """What the run was scored on; None where it is not at hand."""
    wanted = validated(DistillSettings, load_config(str(run.path / "config.yaml")))
    try:
        if wanted.data is None or SOURCES.find(wanted.data) is None:
            return None
        source = open_data(wanted.data, wanted.task, wanted.data_root, wanted.image_size, wanted.crop_size)
    except UsageError as error:
        console.print(f"files are not scored: {error}", soft_wrap=True)
        return None
    return make_task(source, torch.nn.Identity, torch.nn.Identity)
