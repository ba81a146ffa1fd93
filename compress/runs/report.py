"""The job of a report: score files without a score, and write the page of a run."""

from __future__ import annotations

from pathlib import Path

from compress.errors import UsageError
from compress.report import write_page
from compress.report.record import read_record, read_results
from compress.runs.data import place_of
from compress.runs.exported_files import exported_files
from compress.runs.reading import require_classes
from compress.runs.schema import with_own_sections
from compress.settings import DistillSettings
from compress.storage.run_directory import RunDirectory
from compress.storage.settings_files import load_config, validated
from compress.task import HeldOut
from compress.tasks import held_out_of
from compress.tasks.data import SOURCES, open_settings
from compress.tasks.models.model_folder import load_model
from compress.training.progress import console


def report(run: Path) -> Path:
    """Write RUN/report.html and return its path; raises `UsageError` if it is not a run directory."""
    folder = RunDirectory.open(run)
    results = read_results(folder)
    folder.sweep()
    if results:
        scored, metric = results.get("exported", {}), read_record(folder).metric
        files = exported_files(folder.onnx.parent, scored, metric, _task(folder) if results["data"] else None)
        folder.write_report({**results, "exported": files})
    return write_page(folder)


def _task(run: RunDirectory) -> HeldOut | None:
    """What the run was scored on; None where it is not at hand."""
    settings = validated(with_own_sections(DistillSettings), load_config(str(run.path / "config.yaml")))
    try:
        if settings.data is None or SOURCES.find(settings.data) is None:
            return None
        card = load_model(run.path)[1]
        source = open_settings(settings, settings.task, usual=place_of(card))
        source = require_classes(source, card.class_names, str(run.path))
    except UsageError as error:
        console.print(f"files are not scored: {error}", soft_wrap=True)
        return None
    return held_out_of(source)
