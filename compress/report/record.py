"""The content of a run directory, read once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.errors import UsageError, first_line
from compress.replay.stored_samples import stored_columns
from compress.storage.checkpoint_validation import require_history
from compress.storage.run_directory import RunDirectory
from compress.storage.settings_files import load_config
from compress.storage.untrusted import plain_json, read_bytes

from .schema import Results, Settings, Surroundings, require

LIMIT = 200_000_000
"""Bytes of a file of a run; the numbers of a million rounds take as many."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A run, finished or not."""

    folder: Path
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    history: Sequence[Mapping[str, float]]
    """One row a round, of a run that was killed also those after its last checkpoint."""
    results: Mapping[str, Any]
    """The content of report.json; empty while the run is unfinished."""
    buffer: Mapping[str, Any]
    """The replay buffer's columns in the last checkpoint; empty if there are none to show."""

    @property
    def rounds(self) -> int:
        """The number of rounds in the settings."""
        return int(self.settings["distillation"]["rounds"])

    @property
    def metric(self) -> str:
        """Name of the headline number of a finished run: the first number of its student."""
        return next(str(name) for name, value in self.results["student"].items() if isinstance(value, float))

    @property
    def labelled(self) -> bool:
        """Whether a finished run was scored on real labels."""
        return self.results["kept"] is not None

    @property
    def classes(self) -> Sequence[str]:
        """Their names, as far as they are known."""
        names: Sequence[str] = self.results.get("classes", ())
        return names

    def class_name(self, index: int) -> str:
        """The name, or the number where an unfinished run does not tell names."""
        return self.classes[index] if index < len(self.classes) else f"class {index}"


def read_record(run: RunDirectory) -> Record:
    """The data of the page; raises `UsageError` if a file of the run is broken."""
    results, surroundings = read_results(run), run.path / "environment.json"
    config = run.path / "config.yaml"
    return Record(
        folder=run.path,
        settings=require(Settings, load_config(str(config)), str(config)),
        environment={"threads": 0, "platform": "", "cuda": None}
        | require(Surroundings, _object(surroundings), str(surroundings)),
        history=_history(run.path / "metrics.jsonl"),
        results=results,
        buffer=stored_columns(run),
    )


def read_results(run: RunDirectory) -> dict[str, Any]:
    """What report.json holds, empty while the run is unfinished; raises `UsageError` if it is broken."""
    file = run.path / "report.json"
    results = _object(file)
    return require(Results, results, str(file)) if results else {}


def _object(path: Path) -> Any:
    """JSON, an empty object where there is no such file; raises `UsageError` if the file is broken."""
    try:
        return plain_json(_text(path) or "{}")
    except ValueError as error:
        raise UsageError(f"{path} is broken ({error}): run it anew with `overwrite`") from error


def _history(path: Path) -> list[dict[str, float]]:
    """Rows of numbers by name, NaN and infinity among them."""
    try:
        rows: list[dict[str, float]] = [json.loads(row) for row in _text(path).splitlines()]
        require_history(rows)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is broken ({first_line(error)}): run it anew with `overwrite`") from error
    return [{"round": index, **row} for index, row in enumerate(rows)]


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        return read_bytes(path, LIMIT).decode("utf-8")
    except ValueError as error:
        raise UsageError(f"{path} is broken ({first_line(error)}): run it anew with `overwrite`") from error
