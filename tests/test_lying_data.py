"""Images and label maps that lie: what says in few bytes that it is large or elsewhere is refused in one line."""

import os
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from compress.tasks.data import open_data
from compress.tasks.data.collected import read_photographs
from compress.tasks.data.image_folder import read_image

HUGE = 10**10
pytestmark = pytest.mark.usefixtures("bounded_memory")


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
    Image.new("L", (4000, 4000)).save(tmp_path / "0.png", compress_level=1)
    for number in range(1, 6):  # 80 MB each while it is read: all at once fill half a gigabyte
        os.link(tmp_path / "0.png", tmp_path / f"{number}.png")
    assert read_photographs(tmp_path, (3, 8, 8)).shape == (6, 3, 8, 8)


def test_a_pipe_is_not_waited_for_and_a_link_does_not_lead_out(tmp_path: Path, complaint) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    os.mkfifo(folder / "a.png")
    assert "not a regular file" in complaint(lambda: read_photographs(folder, (3, 8, 8)))
    (folder / "a.png").unlink()
    (tmp_path / "secret.png").write_bytes(png(4, 4))
    (folder / "a.png").symlink_to(tmp_path / "secret.png")
    assert "is a link that leads out of" in complaint(lambda: read_photographs(folder, (3, 8, 8)))
    for name in ("cat", "dog"):
        (tmp_path / "classes" / name).mkdir(parents=True)
    (tmp_path / "classes" / "emu").symlink_to(folder)
    assert "is a link that leads out of" in complaint(
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
