"""A folder of collected images: read whole, or refused in one line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compress.errors import UsageError
from compress.tasks.data import open_data
from compress.tasks.data.collected import read_collected

DIGITS = open_data("digits", "classification")


def write_folder(folder: Path, *, each: int = 2, size: tuple[int, int] = (32, 32)) -> Path:
    for label, name in enumerate(DIGITS.class_names):
        (folder / name).mkdir(parents=True)
        for index in range(each):
            picture = Image.new("RGB", size, (label * 20, index, 7))
            picture.save(folder / name / f"{index}.{'png' if index % 2 else 'jpg'}")
    return folder


def test_images_come_with_the_class_of_their_folder_in_the_size_of_the_data(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "some", size=(40, 20))
    (folder / "3" / "notes.txt").write_text("not an image")
    (folder / ".hidden").mkdir()
    read = read_collected(folder, DIGITS)
    assert read.images.shape == (20, 3, 32, 32)
    assert read.images.dtype == torch.uint8
    assert read.targets.tolist() == [label for label in range(10) for _ in range(2)]
    assert read.images[7, :, 0, 0].tolist() == [60, 1, 7]
    again = read_collected(folder, DIGITS)
    assert torch.equal(read.images, again.images)


def test_grey_and_transparent_images_are_read_as_colour(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "some")
    Image.fromarray(np.full((32, 32), 99, dtype=np.uint8)).save(folder / "0" / "0.jpg")
    Image.new("RGBA", (32, 32), (1, 2, 3, 0)).save(folder / "0" / "1.png")
    images = read_collected(folder, DIGITS).images
    assert images[0, :, 5, 5].tolist() == [99, 99, 99]
    assert images[1, :, 5, 5].tolist() == [1, 2, 3]


def broken(folder: Path) -> None:
    content = (folder / "4" / "1.png").read_bytes()
    (folder / "4" / "1.png").write_bytes(content[: len(content) // 2])


def emptied(folder: Path) -> None:
    for file in (folder / "5").iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (broken, r"cannot read the image .*4/1\.png"),
        (lambda folder: (folder / "4" / "1.png").write_bytes(b""), r"cannot read the image .*4/1\.png"),
        (lambda folder: (folder / "eleven").mkdir(), "unknown class folder in .*'eleven'"),
        (emptied, "class folder .*5 holds no"),
        (lambda folder: (folder / "5").rename(folder.with_name("5")), "no folder for class '5'"),
        (lambda folder: folder.rename(folder.with_name("elsewhere")), "no folder"),
    ],
    ids=["truncated", "empty file", "unknown class", "empty class", "no class folder", "no folder"],
)
def test_what_cannot_be_used_is_one_line(spoil, words: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "some")
    spoil(folder)
    with pytest.raises(UsageError, match=words) as caught:
        read_collected(folder, DIGITS)
    assert "\n" not in str(caught.value)
