"""The tensors of a checkpoint by their dotted paths, out of any nesting of dictionaries, lists and pickled modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from compress.errors import UsageError, first_line
from compress.storage.pickle_placeholders import Inert, NumpyArray, StoredTensor
from compress.storage.untrusted import plain_json, read_bytes
from compress.storage.untrusted_checkpoints import CONVERTED, OtherFormat, read_untrusted_checkpoint

from .safetensors_header import read_header

DEPTH_LIMIT = 12
ENTRY_LIMIT = 2_000_000
INDEX_LIMIT = 10_000_000
TRAINING_STATE = ("optim", "lr_sched", "scheduler", "amp_scaler", "scaler", "grad_scaler", "rng_state")
"""Name prefixes of top-level entries that hold training state rather than weights."""
SINGLE = ("model.safetensors", "pytorch_model.safetensors", "pytorch_model.bin", "diffusion_pytorch_model.safetensors")
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
MARKS = {
    b"version https://git-lfs": "it is a pointer of Git LFS, not the file itself: run `git lfs pull`",
    b"<!DOCTYPE": "it is a web page, which a download saved in place of the file",
    b"<html": "it is a web page, which a download saved in place of the file",
    b"\x89HDF": "it is HDF5, as Keras writes it: only torch's own files and safetensors are read",
    b"\x1f\x8b": "it is compressed by gzip: unpack it",
    b"BZh": "it is compressed by bzip2: unpack it",
    b"\xfd7zXZ": "it is compressed by xz: unpack it",
    b"7z\xbc\xaf": "it is a 7z archive: unpack it",
    b"Rar!": "it is a rar archive: unpack it",
    b"\x08\x07\x12": "it is an ONNX file, a network and no checkpoint: score it with `compress evaluate`",
    b"\x08\x08\x12": "it is an ONNX file, a network and no checkpoint: score it with `compress evaluate`",
    b"\x08\x09\x12": "it is an ONNX file, a network and no checkpoint: score it with `compress evaluate`",
    b"\x08\x0a\x12": "it is an ONNX file, a network and no checkpoint: score it with `compress evaluate`",
}
"""First bytes of other kinds of files, and the error for each."""


def read_weights(file: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint by their dotted paths in it, `state_dict.module.conv1.weight`.

    Reads safetensors, torch files of either format, plain pickles of tensors or numpy arrays, whole pickled modules,
    and folders with one such file or several with an index. Code that a pickle names is never imported or run: see
    `compress.storage.untrusted_checkpoints`. `fit_weights` selects a network's tensors from the result.

    Raises `UsageError` if the file is missing, broken, of another kind, or has no tensors by name.
    """
    if file.is_dir():
        return _from_folder(file)
    if not file.is_file():
        raise UsageError(f"no weights file {file}: give the path of a .safetensors or a torch checkpoint")
    tensors = _read(file)
    if not tensors:
        raise UsageError(f"no weights in {file}: it holds no tensors by name; save the model's state_dict()")
    return tensors


def _from_folder(folder: Path) -> dict[str, Tensor]:
    """The tensors of the one file of weights in a folder, or of all files in its index."""
    for name in INDICES:
        if (folder / name).is_file():
            return _sharded(folder, folder / name)
    files = [folder / name for name in SINGLE if (folder / name).is_file()]
    files = files or sorted(path for path in folder.iterdir() if path.suffix in {".safetensors", ".bin", ".pth", ".pt"})
    if len(files) != 1 and not (files and files[0].name in SINGLE):
        raise UsageError(f"{folder} has {len(files)} files of weights: give the path of one of them")
    return read_weights(files[0])


def _sharded(folder: Path, index: Path) -> dict[str, Tensor]:
    try:
        weight_map = plain_json(read_bytes(index, INDEX_LIMIT))["weight_map"]
        names = sorted(set(weight_map.values()))
        if any(Path(name).name != name for name in names):
            raise ValueError("it names files outside its folder")
    except Exception as error:  # broken indices raise many exception types
        raise UsageError(f"cannot read {index}: {first_line(error)}; it is no index of weights") from error
    return {key: tensor for name in names for key, tensor in read_weights(folder / name).items()}


def _read(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            read_header(file)
            return load_file(file)
        _require_no_other_kind(file)
        return dict(_flat(read_untrusted_checkpoint(file)))
    except OtherFormat as error:
        raise UsageError(f"cannot read weights from {file}: {error}") from error
    except Exception as error:  # broken checkpoints raise nine unrelated types; all of them mean the same here
        raise UsageError(
            f"cannot read weights from {file}: {first_line(error)}; it is broken or cannot be read safely: "
            f"if you trust it, convert it by: {CONVERTED.format(file=file.name)}"
        ) from error


def _require_no_other_kind(file: Path) -> None:
    with file.open("rb") as opened:
        start = opened.read(300)
    if not start:
        raise OtherFormat("it is empty")
    for mark, reason in MARKS.items():
        if start.startswith(mark):
            raise OtherFormat(reason)
    if start[257:262] == b"ustar":
        raise OtherFormat("it is a tar archive: unpack it")


def _flat(content: object) -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested containers by their paths; the depth is limited, since a container may contain itself."""
    waiting: list[tuple[str, object, int]] = [("", content, 0)]
    visited = 0
    while waiting:
        path, value, depth = waiting.pop()
        visited += 1
        if visited > ENTRY_LIMIT:
            raise ValueError("its containers have no end")
        tensor = value.tensor() if isinstance(value, (StoredTensor, NumpyArray)) else None
        if tensor is not None and path:
            yield path, tensor
        elif depth < DEPTH_LIMIT:
            waiting += [
                (f"{path}.{name}" if path else name, entry, depth + 1)
                for name, entry in reversed(list(_entries(value)))
                if path or not name.startswith(TRAINING_STATE)
            ]


def _entries(value: object) -> Iterator[tuple[str, object]]:
    """The entries by name of a dictionary, a list or a pickled module."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            name = key.decode("utf-8", "replace") if isinstance(key, bytes) else key
            if isinstance(name, str):
                yield name, entry
    elif isinstance(value, (list, tuple)):
        yield from ((str(index), entry) for index, entry in enumerate(value) if not isinstance(entry, StoredTensor))
    elif isinstance(value, Inert):
        yield from _entries(value.content) if value.content else _parts(value.state)


def _parts(state: object) -> Iterator[tuple[str, object]]:
    """Parameters, persistent buffers and sub-modules of a pickled `torch.nn.Module`."""
    if not isinstance(state, dict) or not isinstance(state.get("_modules"), Mapping):
        return
    hidden = state.get("_non_persistent_buffers_set", ())
    hidden = hidden.arguments[0] if isinstance(hidden, Inert) and hidden.arguments else hidden
    left_out = set(hidden) if isinstance(hidden, (list, set, frozenset)) else set()
    for kind in ("_parameters", "_buffers", "_modules"):
        for name, entry in _entries(state.get(kind)):
            if entry is not None and not (kind == "_buffers" and name in left_out):
                yield name, entry
