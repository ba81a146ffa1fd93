"""Weights that lie: each file says in few bytes that it is large or something else, and is refused in one line."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from compress.tasks.models import read_weights
from compress.tasks.models.model_folder import load_model

HUGE = 10**10
pytestmark = pytest.mark.usefixtures("bounded_memory")


class Call:
    """Pickles as a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.parts = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.parts


class Stored:
    """Stands for a storage in a pickle: its type, name and number of elements."""

    def __init__(self, count: int) -> None:
        self.pid = ("storage", torch.FloatStorage, "0", "cpu", count)


def pickled(content: object) -> bytes:
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, protocol=2)
    pickler.persistent_id = lambda value: getattr(value, "pid", None)
    pickler.dump(content)
    return stream.getvalue()


def rebuilt(count: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> Call:
    return Call(torch._utils._rebuild_tensor_v2, Stored(count), 0, shape, stride, False, OrderedDict())


def archive(file: Path, content: bytes, numbers: bytes = bytes(16), compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(file, "w", compression) as records:
        for name, held in {"data.pkl": content, "byteorder": b"little", "data/0": numbers, "version": b"3\n"}.items():
            records.writestr(f"archive/{name}", held)
    return file


def twice_in_one_place(file: Path) -> Path:
    """Twenty records in one place: each is as large as the file."""
    archive(file, pickled({"a": rebuilt(250_000, (250_000,), (1,))}), bytes(1_000_000))
    content = file.read_bytes()
    start = content.index(b"PK\x01\x02")
    entries, end = content[start : content.index(b"PK\x05\x06")], content[content.index(b"PK\x05\x06") :]
    counts = struct.pack("<HH", 80, 80)
    file.write_bytes(
        content[:start] + entries * 20 + end[:8] + counts + struct.pack("<I", 20 * len(entries)) + end[16:]
    )
    return file


def legacy(file: Path, content: bytes) -> Path:
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    file.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts) + content + pickle.dumps(["0"], 2))
    return file


def itself() -> dict[str, object]:
    table: dict[str, object] = {}
    table["state_dict"] = table
    return table


TORCH: dict[str, Callable[[Path], Path]] = {
    "compressed": lambda f: archive(
        f, pickled({"a": rebuilt(2**24, (2**24,), (1,))}), bytes(2**26), zipfile.ZIP_DEFLATED
    ),
    "more than the file": lambda f: archive(f, pickled({"a": rebuilt(HUGE, (HUGE,), (1,))})),
    "more than the file, legacy": lambda f: legacy(f, pickled({"a": rebuilt(HUGE, (HUGE,), (1,))})),
    "expanded": lambda f: archive(f, pickled({"a": rebuilt(4, (HUGE, 1000), (0, 0))})),
    "records in one place": twice_in_one_place,
    "a call for bytes": lambda f: archive(f, pickled({"a": Call(bytearray, HUGE)})),
    "a call for a storage": lambda f: archive(f, pickled({"a": Call(torch.FloatStorage, HUGE)})),
    "a call for a tensor": lambda f: archive(f, pickled({"a": Call(torch.FloatTensor, HUGE)})),
    "the same copied for ever": lambda f: archive(f, pickled([Call(torch.Size, tuple(range(999)))] * 2)),
    "code": lambda f: archive(f, pickled({"a": Call(os.mkdir, "executed")})),
    "code, legacy": lambda f: legacy(f, pickled({"a": Call(os.mkdir, "executed")})),
    "code, nothing else": lambda f: Path(f.write_bytes(pickled(Call(os.mkdir, "executed"))) and f),
    "memo": lambda f: archive(f, b"\x80\x02}r\xff\xff\xff\x7f."),
    "protocol 4": lambda f: archive(f, pickle.dumps({"a": 1}, protocol=4)),
    "no pickle": lambda f: archive(f, b"no pickle"),
    "itself": lambda f: archive(f, pickled(itself())),
    "numbers by number": lambda f: archive(f, pickled({3: rebuilt(4, (2, 2), (2, 1))})),
    "a pipe": lambda f: os.mkfifo(f) or f,
    "a folder": lambda f: f.mkdir() or f,
}


@pytest.mark.parametrize("case", TORCH)
def test_a_torch_file(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaint) -> None:
    monkeypatch.chdir(tmp_path)
    file = TORCH[case](tmp_path / "weights.pt")
    assert "weights.pt" in complaint(lambda: read_weights(file))
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pt"]


def test_the_same_pickle_with_numbers_that_fill_it_is_read(tmp_path: Path) -> None:
    file = archive(tmp_path / "weights.pt", pickled({"a": rebuilt(4, (2, 2), (2, 1))}))
    assert read_weights(file)["a"].shape == (2, 2)


def safetensors(header: dict[str, object] | str, numbers: bytes = bytes(64), length: int | None = None) -> bytes:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + numbers


def entry(shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


SAFETENSORS = {
    "twice": safetensors(f'{{"a":{json.dumps(entry([8], 0, 32))},"a":{json.dumps(entry([8], 32, 64))}}}'),
    "overlapping": safetensors({"a": entry([16], 0, 64), "b": entry([8], 32, 64)}),
    "beyond the file": safetensors({"a": entry([HUGE], 0, 4 * HUGE)}),
    "other shape": safetensors({"a": entry([17], 0, 64)}),
    "overflow": safetensors({"a": entry([2**62, 8], 0, 64)}),
    "gap": safetensors({"a": entry([8], 32, 64)}),
    "nested": safetensors('{"a":' * 5000 + "1" + "}" * 5000),
    "long header": safetensors({}, length=2**62),
    "no header": b"\0" * 8,
    "list": safetensors("[1]"),
    "metadata": safetensors('{"__metadata__": 5}'),
    "nan": safetensors('{"a": NaN}'),
    "empty": safetensors({}, b""),
}


@pytest.mark.parametrize("case", SAFETENSORS)
def test_a_safetensors_file(case: str, tmp_path: Path, complaint) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(SAFETENSORS[case])
    for load in (read_weights, load_model):
        assert "model.safetensors" in complaint(lambda load=load: load(file))
