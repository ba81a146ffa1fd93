"""Folders of images: found by class, cut and resized, and refused with the name of what is wrong."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compress.errors import UsageError
from compress.framing import CENTRAL_SQUARE
from compress.tasks.data import DataSource, image_files, image_folder, open_data


def open_folder(root: Path, size: int | None = 8) -> DataSource:
    return open_data("image-folder", "classification", root, size)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, two splits, two red, green or blue images each."""
    for split, value in (("train", 50), ("test", 200)):
        for channel, name in enumerate(("cat", "dog")):
            place = tmp_path / split / name
            place.mkdir(parents=True)
            pixels = np.zeros((10, 20, 3), np.uint8)
            pixels[..., channel] = value
            Image.fromarray(pixels).save(place / "b.png")
            Image.fromarray(pixels).save(place / "a.JPG", quality=100)
    (tmp_path / "test" / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "test" / ".hidden").mkdir()
    return tmp_path


def test_splits_have_the_classes_of_their_folders_in_order(folder: Path) -> None:
    source = open_folder(folder)
    assert source.class_names == ("cat", "dog")
    assert source.image_shape == (3, 8, 8)
    for split, value in ((source.training(), 50), (source.held_out(), 200)):
        assert split.images.shape == (4, 3, 8, 8)
        assert split.images.dtype == torch.uint8
        assert split.targets.tolist() == [0, 0, 1, 1]
        assert (split.images[1, 0] == value).all()
        assert (split.images[3, 1] == value).all()


def test_the_size_is_that_of_imagenet_networks_if_none_is_asked_for(folder: Path) -> None:
    assert open_folder(folder, None).image_shape == (3, 224, 224)


def test_the_held_out_split_opens_without_reading_training_images(folder: Path) -> None:
    source = open_folder(folder)
    (folder / "train" / "cat" / "b.png").write_bytes(b"broken")
    assert len(source.held_out()) == 4
    with pytest.raises(UsageError, match=r"train.cat.b\.png"):
        source.training()


def test_val_serves_where_there_is_no_test(folder: Path) -> None:
    (folder / "test").rename(folder / "val")
    assert len(open_folder(folder).held_out()) == 4
    (folder / "val").rename(folder / "validated")
    with pytest.raises(UsageError, match="neither test/ nor val/"):
        open_folder(folder)


def test_classes_without_splits_are_evaluated_on_and_not_trained_on(folder: Path) -> None:
    source = open_folder(folder / "test")
    assert len(source.held_out()) == 4
    with pytest.raises(UsageError, match="no train/ to train on"):
        source.training()


def test_the_central_square_is_kept(tmp_path: Path) -> None:
    pixels = np.zeros((4, 12, 3), np.uint8)
    pixels[:, 4:8] = np.arange(48).reshape(4, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    Image.fromarray(pixels.transpose(1, 0, 2)).save(tmp_path / "high.png")
    expected = torch.arange(48, dtype=torch.uint8).view(4, 4, 3).permute(2, 0, 1)
    assert torch.equal(image_folder.read_image(tmp_path / "wide.png", 4, CENTRAL_SQUARE), expected)
    assert torch.equal(image_folder.read_image(tmp_path / "high.png", 4, CENTRAL_SQUARE), expected.transpose(1, 2))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1"])
def test_every_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str) -> None:
    options = {"transparency": b"\0"} if mode == "P" else {}
    Image.new("RGB", (9, 9), "white").convert(mode).save(tmp_path / "x.png", **options)
    assert image_folder.read_image(tmp_path / "x.png", 5, CENTRAL_SQUARE).unique().tolist() == [255]


def test_an_image_that_cannot_be_used_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "test" / "dog" / "b.png"
    monkeypatch.setattr(image_files, "PIXEL_LIMIT", 1000)
    huge, deep, icon, whole = (folder / name for name in ("huge.png", "deep.png", "other.ico", "whole.png"))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8)).save(whole)
    Image.new("L", (40, 40)).save(huge)
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(deep)
    Image.new("L", (16, 16)).save(icon)
    cases = {
        b"": "cannot identify",
        b"garbage": "cannot identify",
        whole.read_bytes()[:200]: "truncated",
        huge.read_bytes(): "40x40 pixels are too many",
        deep.read_bytes(): "more than 8 bits",
        icon.read_bytes(): "cannot identify",
    }
    for content, reason in cases.items():
        file.write_bytes(content)
        with pytest.raises(UsageError, match=reason) as refused:
            open_folder(folder).held_out()
        assert str(file) in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_decompression_bomb_is_refused_without_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150)
    with pytest.raises(UsageError, match="decompression bomb"):
        open_folder(folder).held_out()


def test_a_split_that_does_not_fit_in_memory_is_refused_before_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "MEMORY_LIMIT", 700)
    with pytest.raises(UsageError, match="smaller `image_size`"):
        open_folder(folder).held_out()


def test_folders_that_are_no_classes_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "emu").mkdir()
    with pytest.raises(UsageError, match="differ in the class 'emu'"):
        open_folder(folder)
    (folder / "test" / "emu").mkdir()
    with pytest.raises(UsageError, match="holds no png, jpg"):
        open_folder(folder).held_out()
    (folder / "test" / "cow\x1b[2J").mkdir()
    with pytest.raises(UsageError, match="cannot be printed") as refused:
        open_folder(folder)
    assert str(refused.value).isprintable()
    (tmp_path / "alone" / "cat").mkdir(parents=True)
    with pytest.raises(UsageError, match="at least two"):
        open_folder(tmp_path / "alone")
    with pytest.raises(UsageError, match="no folder"):
        open_folder(tmp_path / "nowhere")
