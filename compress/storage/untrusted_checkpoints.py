"""Untrusted checkpoints: reads tensors and containers of them, and creates no other object that a file names.

A training script saves its options, paths, scores and optimisers beside the weights, or a whole module. Such a pickle
names types and functions. Here nothing is looked up by these names: what is no tensor and no plain data becomes an
`Inert` object, which can be built and filled and does nothing. So no file can run code, and none needs its own.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from compress.storage.pickle_placeholders import (
    Call,
    Dictionaries,
    Inert,
    Latin1,
    Named,
    NumpyArray,
    NumpyType,
    Storage,
    rebuilt,
    retyped,
    unwrapped,
)
from compress.storage.pickles import INSTRUCTIONS, PlainReader, end_of_plain
from compress.storage.untrusted import require_regular

PICKLE_LIMIT = 10_000_000
"""Bytes of a pickle in an archive, which describes tensors in some 200 each."""
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOLS = (2, 3, 4, 5)
INSTRUCTIONS_OF_OBJECTS = INSTRUCTIONS | {
    "LONG1", "LONG4", "BINFLOAT", "BINPERSID", "FRAME", "MEMOIZE", "STACK_GLOBAL", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES8", "BYTEARRAY8", "EMPTY_SET", "ADDITEMS", "FROZENSET", "NEWOBJ", "NEWOBJ_EX", "POP", "POP_MARK", "DUP",
}  # fmt: skip
"""All that Python writes objects with in these protocols, but for what reaches beyond the file."""
CONVERTED = (
    "import torch; content = torch.load('{file}', map_location='cpu', weights_only=False); "
    "torch.save(content if isinstance(content, dict) else content.state_dict(), 'weights.pt')"
)
SCRIPTED = "import torch; torch.save(torch.jit.load('{file}', map_location='cpu').state_dict(), 'weights.pt')"


class OtherFormat(ValueError):
    """A file of a format without named tensors, or one that would have to run code to be read."""


def read_untrusted_checkpoint(file: Path) -> object:
    """What a file of torch's or a pickle holds: dictionaries, lists, numbers, text, stored tensors and `Inert` objects.

    Raises `OtherFormat` for what is known and cannot be used, with what to do, and one of many types, `ValueError` and
    `UnpicklingError` among them, for what is broken or would take more memory than the file's size says.
    """
    require_regular(file)
    with file.open("rb") as opened:
        return _read(opened, file.stat().st_size, file.name)


def _read(opened: BinaryIO, size: int, name: str, depth: int = 0) -> object:
    start = opened.read(4)
    opened.seek(0)
    if start == b"PK\x03\x04":
        return _from_archive(opened, size, name)
    if start[:1] != b"\x80":
        raise OtherFormat("it is no file of torch's and no pickle of protocol 2 to 5")
    return _from_pickles(opened, size, depth)


class _Reader(PlainReader):
    """Reads one pickle with stand-ins for every name in it."""

    def __init__(self, content: bytes, read_numbers: Any, depth: int) -> None:
        super().__init__(content, self._stand_in)
        self.storages: dict[str, Storage] = {}
        self._read_numbers, self._depth = read_numbers, depth
        dictionary = Call(Dictionaries())
        self._calls: dict[str, Any] = {
            "collections.OrderedDict": dictionary,
            "collections.defaultdict": dictionary,
            "torch._utils._rebuild_tensor": Call(rebuilt),
            "torch._utils._rebuild_tensor_v2": Call(rebuilt),
            "torch._utils._rebuild_tensor_v3": Call(rebuilt),
            "torch._utils._rebuild_parameter": Call(unwrapped),
            "torch._utils._rebuild_parameter_with_state": Call(unwrapped),
            "torch._tensor._rebuild_from_type_v2": Call(retyped),
            "torch.Size": Call(_shape),
            "torch.storage._load_from_bytes": Call(self._nested),
            "numpy.core.multiarray._reconstruct": Call(NumpyArray),
            "numpy._core.multiarray._reconstruct": Call(NumpyArray),
            "numpy.dtype": Call(NumpyType),
            "_codecs.encode": Call(Latin1),
        }

    def _stand_in(self, name: str) -> Any:
        if name in self._calls:
            return self._calls[name]
        module, _, last = name.rpartition(".")
        if module in ("torch", "torch.storage") and (last.endswith("Storage") or Named(name).dtype):
            return Named(name)
        return Inert

    def persistent_load(self, pid: object) -> object:
        """The storage `("storage", type, key, place, elements, view)`; an inert placeholder for anything else."""
        match pid:
            case (b"storage" | "storage", Named() as named, key, _, int(count), *view) if not any(view):
                name = key.decode("latin-1") if isinstance(key, bytes) else str(key)
            case (b"module" | "module", kind, *_):  # of whole modules before torch 1.6, beside their source
                return kind
            case _:
                return Inert()
        if named.dtype is None:
            return Inert()
        if count < 0:
            raise pickle.UnpicklingError(f"it holds {count} numbers")
        storage = self.storages.setdefault(name, Storage(name, named.dtype, count, self._read_numbers))
        if (storage.count, storage.dtype) != (count, named.dtype):
            raise pickle.UnpicklingError("it names one storage twice, with other numbers")
        return storage

    def _nested(self, content: object) -> object:
        """A tensor that was pickled without torch holds a torch file."""
        held = content.text.encode("latin-1") if isinstance(content, Latin1) else content
        if self._depth or not isinstance(held, bytes):
            raise pickle.UnpicklingError("it holds files in files")
        return _read(io.BytesIO(held), len(held), "", self._depth + 1)


def _shape(sides: Any) -> Any:
    if len(sides) > 64:
        raise pickle.UnpicklingError(f"a shape has {len(sides)} sides")
    return sides


def _loaded(content: bytes, read_numbers: Any, depth: int) -> tuple[object, dict[str, Storage], int]:
    """What the first pickle in `content` holds, the storages that it names, and where it ends."""
    length = end_of_plain(io.BytesIO(content), lambda name: Inert, INSTRUCTIONS_OF_OBJECTS, PROTOCOLS)
    reader = _Reader(content[:length], read_numbers, depth)
    return reader.load(), reader.storages, length


def _from_archive(opened: BinaryIO, size: int, file: str) -> object:
    with zipfile.ZipFile(opened) as archive:
        records = {record.filename: record for record in archive.infolist()}
        if len(records) < len(archive.infolist()):
            raise ValueError("it names a record twice")
        _require_torch(records, size, file)
        described = next(name for name in records if name.rpartition("/")[2] == "data.pkl")
        root = described.removesuffix("data.pkl")
        if records[described].file_size > PICKLE_LIMIT:
            raise ValueError("what describes its tensors is too large")
        if f"{root}byteorder" in records and archive.read(f"{root}byteorder") != b"little":
            raise OtherFormat("its numbers are big-endian: save it on another machine")
        held: dict[str, bytes] = {}
        content, storages, _ = _loaded(archive.read(described), lambda key, count: held.pop(key), 0)
        for key, storage in storages.items():
            record = records.get(f"{root}data/{key}")
            if record is None or record.file_size < storage.size:
                raise ValueError(f"its tensors say that they have {storage.size} bytes, which are not in the file")
            held[key] = archive.read(record)[: storage.size]
            storage.numbers()
    return content


def _require_torch(records: Mapping[str, zipfile.ZipInfo], size: int, file: str) -> None:
    """Raise unless these are the records of a checkpoint, neither compressed nor overlapping, as torch writes them."""
    last = {name.rpartition("/")[2] for name in records}
    if "constants.pkl" in last:
        raise OtherFormat(f"it is TorchScript, a program; its weights are had by: {SCRIPTED.format(file=file)}")
    if any(name.endswith(".npy") for name in last):
        raise OtherFormat(
            "it is an archive of numpy arrays; convert it: import numpy, torch; torch.save({k: torch.from_numpy(v) "
            f"for k, v in numpy.load('{file}').items()}}, 'weights.pt')"
        )
    if "data.pkl" not in last:
        raise OtherFormat("it is a zip archive without a torch checkpoint: unpack it, or save the state_dict()")
    if sum(name.rpartition("/")[2] == "data.pkl" for name in records) > 1:
        raise ValueError("it holds several data.pkl")
    if any(record.compress_type != zipfile.ZIP_STORED for record in records.values()):
        raise ValueError("its records are compressed, which torch's own never are")
    if sum(record.file_size for record in records.values()) > size:
        raise ValueError("its records say that they are larger than the file")


def _from_pickles(opened: BinaryIO, size: int, depth: int) -> object:
    """A pickle alone, or torch's files from before 1.6: four pickles, the order of the storages, and their numbers."""
    content = opened.read(size)
    held: dict[str, bytes] = {}
    magic, storages, at = _loaded(content, _missing, depth)
    if magic != MAGIC:
        if storages:
            raise ValueError("its tensors lie outside of it")
        return magic
    saved: object = None
    for place in range(4):  # protocol, machine, tensors, order of the storages
        part, named, length = _loaded(content[at : at + PICKLE_LIMIT], lambda key, count: held.pop(key), depth)
        saved, storages, at = (part if place == 2 else saved), {**storages, **named}, at + length
    if not isinstance(part, list):
        raise ValueError("it does not say in which order its numbers lie")
    for key in map(str, part):
        storage = storages[key]
        count = int.from_bytes(content[at : at + 8], "little")
        at += 8
        if count != storage.count or at + storage.size > size:
            raise ValueError(f"its tensors say that they have {storage.size} bytes, which are not in the file")
        held[key] = content[at : at + storage.size]
        storage.numbers()
        at += storage.size
    return saved


def _missing(key: str, count: int) -> bytes:
    raise ValueError(f"{count} bytes of {key} are not in the file")
