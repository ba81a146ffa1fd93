"""Untrusted torch files: the total size of their tensors is checked before any is allocated.

`torch.load(weights_only=True)` runs no code, but a file of some kilobytes can make it allocate gigabytes: with
compressed records, with storages larger than the file, or with calls of allowed types.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import torch

from compress.errors import UsageError, first_line
from compress.storage.pickles import INSTRUCTIONS, PlainReader, StandIn, end_of_plain
from compress.storage.untrusted import require_regular

PICKLE_LIMIT = 10_000_000
"""Limit in bytes of the description of the tensors, which takes about 200 bytes per tensor."""
LEGACY_PICKLES = 5
"""Pickles before the data in files without an archive: magic number, protocol, machine, tensors, storage order."""
DIMENSIONS = 64  # of a tensor, torch's own limit
_INSTRUCTIONS = INSTRUCTIONS | {"LONG1", "BINFLOAT", "BINPERSID"}
_BYTES = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1,
    "Bool": 1, "ComplexDouble": 16, "ComplexFloat": 8, "Untyped": 1,
}  # fmt: skip


def load_plain(file: Path, device: torch.device | None = None) -> Any:
    """The content of a torch file: tensors, numbers and text in lists and dictionaries.

    Raises one of many types, `ValueError` and `UnpicklingError` among them, if it is broken, holds anything else, or
    its tensors would need more memory than its size.
    """
    require_plain(file)
    return torch.load(file, map_location=device, weights_only=True)


def require_plain(file: Path) -> None:
    """Raise the errors of `load_plain` from the file's description alone, without creating a tensor."""
    require_regular(file)
    with file.open("rb") as opened:
        size = file.stat().st_size
        if opened.read(4) == b"PK\x03\x04":
            declared = _bytes_of(_described(opened, size), 1)
        else:
            opened.seek(0)
            declared = _bytes_of(opened.read(PICKLE_LIMIT), LEGACY_PICKLES)
    if declared > size:
        raise ValueError(f"its tensors claim {declared} bytes, but the file has {size}")


class Resumable(Protocol):
    """An object that continues from a checkpoint."""

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Continue from a state; may raise any exception if it does not fit."""


def restore(resumable: Resumable, state: dict[str, Any]) -> None:
    """Continue from a state; raises `UsageError` if it does not fit."""
    try:
        resumable.load_state_dict(state)
    except Exception as error:  # a state of another object fails with many exception types
        raise UsageError(
            f"the checkpoint does not fit: {type(error).__name__}, {first_line(error)}; start again with `overwrite`"
        ) from error


def _described(opened: BinaryIO, size: int) -> bytes:
    """The pickle in an archive; its records must be uncompressed and must not overlap, as torch writes them."""
    with zipfile.ZipFile(opened) as archive:
        records = archive.infolist()
        if any(record.compress_type != zipfile.ZIP_STORED for record in records):
            raise ValueError("its records are compressed; torch never writes such files")
        if sum(record.file_size for record in records) > size:
            raise ValueError("its records claim more bytes than the file has")
        described = [record for record in records if record.filename.rpartition("/")[2] == "data.pkl"]
        if len(described) != 1 or described[0].file_size > PICKLE_LIMIT:
            raise ValueError("it holds no data.pkl, several, or one that is too large")
        return archive.read(described[0])


def _bytes_of(content: bytes, pickles: int) -> int:
    """Total bytes of the storages in the first pickles of `content`."""
    stream, storages = io.BytesIO(content), dict[str, int]()
    for _ in range(pickles):
        start = stream.tell()
        length = end_of_plain(stream, _stand_in, _INSTRUCTIONS)
        census = _Census(content[start : start + length], _stand_in)
        census.load()
        storages.update(census.storages)
    return sum(storages.values())


class _Census(PlainReader):
    """Collects the storages in a pickle without creating a tensor."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.storages: dict[str, int] = {}

    def persistent_load(self, pid: object) -> _Storage:
        """The storage `("storage", type, key, place, elements, ...)`."""
        match pid:
            case (b"storage" | "storage", _Name(name=name), key, _, int(count), *_):
                element = _BYTES.get(name.rpartition(".")[2].removesuffix("Storage"))
            case _:
                raise pickle.UnpicklingError("it refers to something other than a tensor storage")
        if element is None or count < 0:
            raise pickle.UnpicklingError(f"it holds {count} numbers of the type {name}")
        self.storages[str(key)] = max(self.storages.get(str(key), 0), count * element)
        return _Storage(count)


class _Storage:
    def __init__(self, count: int) -> None:
        self.count = count


class _Name:
    """A type or number format, which is referred to but never called."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *_: object) -> None:
        raise pickle.UnpicklingError(f"it calls {self.name}")


def _tensor(storage: object, offset: object, shape: Any, *_: object) -> None:
    if not isinstance(storage, _Storage) or len(shape) > DIMENSIONS or math.prod(shape) > storage.count:
        raise pickle.UnpicklingError(f"a tensor claims the shape {shape!r:.80}, but its storage is smaller")


def _shape(sides: Any) -> None:
    if len(sides) > DIMENSIONS:
        raise pickle.UnpicklingError(f"a shape has {len(sides)} sides")


def _empty() -> OrderedDict[object, object]:
    """A call with arguments, which could copy the same content many times."""
    return OrderedDict()


def _nothing(*_: object) -> None:
    """A stand-in for a call that allocates nothing large."""


def _typed(rebuild: StandIn, kind: object, arguments: Any, *_: object) -> None:
    rebuild(*arguments)


_CALLS: dict[str, StandIn] = {
    "collections.OrderedDict": _empty,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_parameter": _nothing,
    "torch._utils._rebuild_parameter_with_state": _nothing,
    "torch._tensor._rebuild_from_type_v2": _typed,
    "torch.nn.parameter.Parameter": _Name("torch.nn.parameter.Parameter"),
    "torch.storage.UntypedStorage": _Name("torch.storage.UntypedStorage"),
    "torch.Tensor": _Name("torch.Tensor"),
    "torch.Size": _shape,
    "torch.device": _nothing,
    "torch.serialization._get_layout": _nothing,
}


def _stand_in(name: str) -> StandIn | None:
    """The stand-in for a name in torch's checkpoints: a few calls, and types."""
    module, _, last = name.rpartition(".")
    is_type = module == "torch" and (last.endswith("Storage") or isinstance(getattr(torch, last, None), torch.dtype))
    return _CALLS.get(name) or (_Name(name) if is_type else None)
