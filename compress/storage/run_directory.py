"""The run directory: all files of a run, written atomically."""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torchvision.io import encode_png

from compress.errors import UsageError, first_line, printable
from compress.storage.checkpoint_validation import require_contents, require_sums
from compress.storage.checkpoints import load_plain
from compress.storage.files import append_text, require_space, sweep, whole_file, write_text, write_with
from compress.storage.lock import holds_anything
from compress.storage.marker import FORMAT, clear, kind_of, mark, require_own

NEEDED_BYTES = 500_000_000  # bytes: two checkpoints of the default runs, while one is replaced, and the models
LIBRARIES = (
    "compress-kd", "torch", "torchvision", "timm", "segmentation-models-pytorch", "onnx", "onnxscript",
    "onnxruntime-gpu", "onnxruntime", "numpy", "scikit-learn", "safetensors",
)  # fmt: skip


KIND = "run"
"""What the mark of a run directory says; those of version 0.1.0 have no mark and are read, not written over."""
WRITTEN = (
    "report.html", "report.json", "iou.png", "accuracy.png", "train.log", "metrics.csv", "metrics.jsonl",
    "environment.json", "samples/round-*.png", "held-out/[0-9]*.png", "tensorboard/events.out.tfevents.*",
    "checkpoints/last/state.pt", "export/model.onnx", "export/model.*.onnx", "export/model.xml", "export/model.*.xml",
    "export/model.bin", "export/model.*.bin", "student/README.md",
    "student/config.json", "student/model.safetensors", "config.yaml",
)  # fmt: skip
"""All names that a run writes, but its mark and lock."""


def next_free(parent: Path, stem: str) -> Path:
    """`parent/stem-N` with the lowest free number N from 1."""
    return parent / f"{stem}-{max(_numbers(parent, stem), default=0) + 1}"


def latest(parent: Path, stem: str) -> Path:
    """The highest-numbered `parent/stem-N`; raises `UsageError` if there is none."""
    numbers = _numbers(parent, stem)
    if not numbers:
        raise UsageError(f"nothing to resume: there is no {parent}/{stem}-N; name the run with `out`")
    return parent / f"{stem}-{max(numbers)}"


def _numbers(parent: Path, stem: str) -> list[int]:
    matches = (re.fullmatch(re.escape(stem) + r"-(\d+)", path.name) for path in parent.glob(f"{stem}-*"))
    return [int(match.group(1)) for match in matches if match]


class RunDirectory:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def check(cls, path: Path, *, overwrite: bool = False) -> None:
        """Raise `UsageError` if a run may not be written to `path`, or if space is short."""
        if path.is_file():
            raise UsageError(f"`out` {path} is a file: name a folder")
        if path.is_dir() and holds_anything(path):
            if not overwrite:
                raise UsageError(f"{path} is not empty: choose another `out`, or pass `resume` or `overwrite`")
            require_own(path, KIND)
        require_space(path, NEEDED_BYTES)

    @classmethod
    def create(cls, path: Path) -> RunDirectory:
        """A folder with the mark of a run, and without any file that an earlier run in it wrote; others stay.

        The mark is there before and all along: a process that is killed leaves what `check` allows to be overwritten.
        """
        path.mkdir(parents=True, exist_ok=True)
        mark(path, KIND)
        clear(path, WRITTEN)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """The run in a folder; raises `UsageError` if it holds none."""
        if path.is_dir():
            kind_of(path)  # of a later format, it is refused
        if not (path / "config.yaml").is_file():
            raise UsageError(f"{path} is not a run directory: it has no config.yaml")
        return cls(path)

    @property
    def student(self) -> Path:
        """Folder of the student."""
        return self.path / "student"

    @property
    def onnx(self) -> Path:
        """The exported file."""
        return self.path / "export" / "model.onnx"

    @property
    def events(self) -> Path:
        """Folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def checkpoint(self) -> Path:
        """The state to resume from."""
        return self.path / "checkpoints" / "last" / "state.pt"

    def write_config(self, values: Mapping[str, Any], workers: int = 1) -> None:
        """Write the resolved settings, the versions and hardware, and the number of processes."""
        write_text(self.path / "config.yaml", yaml.safe_dump({"format": FORMAT, **values}, sort_keys=False))
        write_text(self.path / "environment.json", json.dumps(environment(workers), indent=2) + "\n")

    def write_report(self, values: Mapping[str, Any]) -> None:
        """The results as JSON."""
        write_text(self.path / "report.json", json.dumps(values, indent=2) + "\n")

    def write_picture(self, name: str, picture: Tensor) -> None:
        """A uint8 RGB picture `[3, H, W]` as `samples/name.png`."""
        write_png(self.path / "samples" / f"{name}.png", picture)

    def write_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the state to resume from."""
        write_state(self.checkpoint, {"format": FORMAT, **state})

    def read_checkpoint(self, rounds: int | None = None) -> dict[str, Any]:
        """The state to resume from, of a run of `rounds`; or what a checkpoint of any version holds, to look at.

        Raises `UsageError` if there is none, or if its checksums, types or ranges are not those of a checkpoint.
        """
        if not self.checkpoint.is_file():
            raise UsageError(f"{self.path} has no checkpoint to resume from: run it anew with `overwrite`")
        try:
            require_sums(self.checkpoint)
            state: dict[str, Any] = load_plain(self.checkpoint, torch.device("cpu"))
            require_contents(state, rounds)
        except Exception as error:  # broken checkpoints raise nine unrelated exception types
            raise UsageError(
                f"the checkpoint of {self.path} is broken: {first_line(error)}; run it anew with `overwrite`"
            ) from error
        if state.pop("format", None) is None and rounds is not None:
            raise UsageError(f"the run in {self.path} was begun by compress 0.1.0: resume it with that, or run it anew")
        return state

    def log(self, line: str) -> None:
        """Append a line to train.log."""
        append_text(self.path / "train.log", printable(line) + "\n")

    def sweep(self) -> None:
        """Delete the temporary files of a killed process."""
        sweep(self.path)


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and containers of them to a file, atomically."""
    with whole_file(path) as temporary, temporary.open("wb") as file:  # with a path, torch hides why it cannot write
        torch.save(state, file)


def write_png(path: Path, picture: Tensor) -> None:
    """Write a uint8 RGB picture `[3, H, W]` to a file, atomically."""
    pixels = bytes(encode_png(picture.contiguous()).numpy())
    write_with(path, lambda temporary: temporary.write_bytes(pixels))


def environment(workers: int = 1) -> dict[str, Any]:
    """Versions and hardware, without host names or paths; `workers` is the number of processes."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return {
        "python": sys.version.split()[0],
        "platform": f"{platform.system()} {platform.machine()}",
        "workers": workers,
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "libraries": versions,
    }
