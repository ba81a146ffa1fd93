"""Files that lie: each says in few bytes that it is large, elsewhere or something else, and is refused in one line."""

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from compress.tasks.data import open_data
from compress.tasks.data.collected import read_photographs
from compress.tasks.data.image_folder import read_image
from compress.tasks.models import read_weights
from compress.tasks.models.saved import load_model

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
    pickler.persistent_id = lambda value: getattr(value, "pid", None)  # type: ignore[method-assign]
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


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *more: bytes, rows: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


IMAGES = {
    "pixels": png(60_000, 60_000),
    "pixels that Pillow warns of": png(10_000, 10_000),
    "pixels that Pillow bears": png(8_000, 8_000),
    "one row": png(2**31 - 1, 1),
    "text": png(4, 4, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26)))] * 3),
    "no pixels": png(0, 0),
    "no content": png(4000, 4000),
}


@pytest.mark.parametrize("case", IMAGES)
def test_an_image(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], complaint) -> None:
    (tmp_path / "a.png").write_bytes(IMAGES[case])
    assert "cannot read the image" in complaint(lambda: read_image(tmp_path / "a.png", 8))
    assert "cannot read the image" in complaint(lambda: read_photographs(tmp_path, (3, 8, 8)))
    assert capfd.readouterr() == ("", "")


def test_large_images_take_turns(tmp_path: Path) -> None:
    Image.new("L", (5000, 5000)).save(tmp_path / "0.png", compress_level=1)
    for number in range(1, 4):
        os.link(tmp_path / "0.png", tmp_path / f"{number}.png")
    assert read_photographs(tmp_path, (3, 8, 8)).shape == (4, 3, 8, 8)


def test_a_pipe_is_not_waited_for_and_a_link_does_not_lead_out(tmp_path: Path, complaint) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    os.mkfifo(folder / "a.png")
    assert "no regular file" in complaint(lambda: read_photographs(folder, (3, 8, 8)))
    (folder / "a.png").unlink()
    (tmp_path / "secret.png").write_bytes(png(4, 4))
    (folder / "a.png").symlink_to(tmp_path / "secret.png")
    assert "leads out of its folder" in complaint(lambda: read_photographs(folder, (3, 8, 8)))
    for name in ("cat", "dog"):
        (tmp_path / "classes" / name).mkdir(parents=True)
    (tmp_path / "classes" / "emu").symlink_to(folder)
    assert "leads out of its folder" in complaint(
        lambda: open_data("image-folder", "classification", tmp_path / "classes")
    )


def hdf5(folder: Path, **options: object) -> Path:
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        file.create_dataset("images", (4, 3, 4096, 4096), np.uint8, **options)
        file.create_dataset("labels", (4, 4096, 4096), np.uint16)
        file["names"] = np.zeros((1, 894))
    savemat(folder / "splits.mat", {"trainNdxs": np.array([[1], [2]]), "testNdxs": np.array([[3], [4]])})
    return folder


def nyuv2(folder: Path) -> object:
    return open_data("nyuv2", "segmentation", folder).held_out()


def test_a_mat_that_is_packed_in_one_piece(tmp_path: Path, complaint) -> None:
    hdf5(tmp_path, compression="gzip", chunks=(4, 3, 4096, 4096))
    assert "pieces that are too large" in complaint(lambda: nyuv2(tmp_path))


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(name: bytes, kind: int, shape: tuple[int, ...], content: bytes = b"") -> bytes:
    flags, sides = element(6, struct.pack("<II", kind, 0)), element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, flags + sides + element(1, name) + content)


def matlab(*matrices: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(matrices)


def packed(content: bytes) -> bytes:
    small = zlib.compress(content)
    return struct.pack("<II", 15, len(small)) + small


TEST = matrix(b"testNdxs", 9, (1, 1), element(9, struct.pack("<d", 1)))
SPLITS = {
    "cells": matlab(matrix(b"trainNdxs", 1, (2**30, 1)), TEST),
    "struct": matlab(matrix(b"trainNdxs", 2, (2**30, 1)), TEST),
    "text": matlab(matrix(b"trainNdxs", 4, (2**30, 1)), TEST),
    "sparse": matlab(matrix(b"trainNdxs", 5, (2**30, 1)), TEST),
    "numbers": matlab(matrix(b"trainNdxs", 9, (2**30, 1)), TEST),
    "packed": matlab(packed(matrix(b"trainNdxs", 9, (2**23, 1), element(9, bytes(2**26)))), TEST),
    "packed, another": matlab(packed(matrix(b"other", 9, (2**23, 1), element(9, bytes(2**26)))), TEST),
    "packed in packed": matlab(packed(packed(matrix(b"trainNdxs", 9, (2**23, 1), element(9, bytes(2**26))))), TEST),
    "twice": matlab(TEST, TEST, matrix(b"testNdxs", 1, (2**30, 1))),
    "nan": matlab(matrix(b"trainNdxs", 9, (1, 1), element(9, struct.pack("<d", float("nan")))), TEST),
    "nothing": matlab(),
}


@pytest.mark.parametrize("case", SPLITS)
def test_a_split_file(case: str, tmp_path: Path, complaint) -> None:
    hdf5(tmp_path)
    (tmp_path / "splits.mat").write_bytes(SPLITS[case])
    assert "official split file" in complaint(lambda: nyuv2(tmp_path))
