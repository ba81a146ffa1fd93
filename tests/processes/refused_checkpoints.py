"""Files that are no checkpoint that can be read, and what is said of each."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from checkpoint_files import ALL_NUMPY, OPTIONS, STATE, pickled, saved, sharded
from torch import nn


def tar(folder: Path) -> Path:
    with tarfile.open(folder / "weights.pth", "w") as archive:
        archive.addfile(tarfile.TarInfo("weights"), io.BytesIO())
    return folder / "weights.pth"


def scripted(folder: Path) -> Path:
    torch.jit.script(nn.Linear(2, 2)).save(str(folder / "weights.pth"))
    return folder / "weights.pth"


def numpy_archive(folder: Path) -> Path:
    np.savez(folder / "weights.npz", **ALL_NUMPY)
    return folder / "weights.npz"


def plain_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "weights.zip", "w") as archive:
        archive.writestr("weights.pth", b"inside")
    return folder / "weights.zip"


def written(content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "weights.pth").write_bytes(content)
        return folder / "weights.pth"

    return write


def two_files(folder: Path) -> Path:
    saved(STATE)(folder).rename(folder / "a.pth")
    saved(STATE)(folder)
    return folder


def index_elsewhere(folder: Path) -> Path:
    sharded(folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))
    return folder


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "TorchScript": (scripted, r"it is TorchScript.*torch\.jit\.load"),
    "numpy archive": (numpy_archive, "numpy arrays; convert it"),
    "zip archive": (plain_zip, "unpack it"),
    "tar archive": (tar, "tar archive: unpack it"),
    "gzip": (written(b"\x1f\x8b\x08" + bytes(9)), "gzip: unpack it"),
    "HDF5 of Keras": (written(b"\x89HDF\r\n\x1a\n" + bytes(9)), "Keras"),
    "ONNX": (written(b"\x08\x0a\x12\x07pytorch"), "an ONNX file"),
    "Git LFS pointer": (written(b"version https://git-lfs.github.com/spec/v1\noid sha256:1"), "git lfs pull"),
    "web page": (written(b"<!DOCTYPE html><title>Sign in</title>"), "web page"),
    "empty file": (written(b""), "it is empty"),
    "text": (written(b"epoch 3"), "no file of torch's"),
    "pickle protocol 0": (pickled({"a": 1}, 0), "no file of torch's"),
    "cut short": (lambda folder: written(saved(STATE)(folder).read_bytes()[:900])(folder), r"weights_only=False"),
    "no tensors": (saved({"epoch": 3, "args": OPTIONS}), r"save the model's state_dict\(\)"),
    "tensors without names": (saved(list(STATE.values())), r"save the model's state_dict\(\)"),
    "folder with two checkpoints": (two_files, "has 2 files of weights: give the path"),
    "folder without any": (lambda folder: folder, "has 0 files of weights"),
    "index that leads elsewhere": (index_elsewhere, "no index of weights"),
    "missing": (lambda folder: folder / "nowhere.pth", "no weights file"),
}
