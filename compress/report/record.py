"""What a run's folder says of the run, read once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.errors import UsageError
from compress.storage.run_directory import RunDirectory
from compress.storage.settings_files import load_config


@dataclass(frozen=True)
class Record:
    """A run, finished or not."""

    folder: Path
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    history: Sequence[Mapping[str, float]]
    """One row a round, of a run that was killed also those after its last checkpoint."""
    results: Mapping[str, Any]
    """What report.json holds; empty while the run is unfinished."""
    buffer: Mapping[str, Any]
    """The replay buffer's columns in the last checkpoint; empty where there is none that can be shown."""

    @property
    def rounds(self) -> int:
        """How many were asked for."""
        return int(self.settings["distillation"]["rounds"])

    @property
    def metric(self) -> str:
        """Name of the headline number of a finished run: the first of its student's."""
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
    """All that the page is made of; raises `UsageError` if a file of the run is broken."""
    rows = _text(run.path / "metrics.jsonl").splitlines()
    buffer = run.read_checkpoint()["buffer"] if run.checkpoint.is_file() else {}
    return Record(
        folder=run.path,
        settings=load_config(str(run.path / "config.yaml")),
        environment=read_json(run.path / "environment.json"),
        history=[_parsed(row, run.path / "metrics.jsonl") for row in rows],
        results=read_json(run.path / "report.json"),
        buffer=buffer if "draws" in buffer else {},  # older checkpoints do not count them
    )


def read_json(path: Path) -> dict[str, Any]:
    """An object, empty where there is no such file; raises `UsageError` if the file is broken."""
    return _parsed(_text(path) or "{}", path)


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{path} is broken ({error}): run it anew with `overwrite`") from error
    return found


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
