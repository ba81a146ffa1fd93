"""Folders of images with label maps: paired by name, read at one scale, and refused with the name of what is wrong."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compress.errors import UsageError
from compress.tasks.data import DataSource, open_data


def save(file: Path, pixels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def picture(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), (200, 100, 50), np.uint8)


def halves(height: int, width: int, left: int, right: int) -> np.ndarray:
    labels = np.full((height, width), left, np.uint8)
    labels[:, width // 2 :] = right
    return labels


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """Two road scenes a split, sky on the left and void on the right."""
    for split in ("train", "test"):
        for name in ("b", "a"):
            save(tmp_path / "camvid" / split / f"{name}.jpg", picture(36, 48))
            save(tmp_path / "camvid" / f"{split}annot" / f"{name}.png", halves(36, 48, 0, 11))
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Masks in colours; a wide and a high image."""
    (tmp_path / "classes.txt").write_text("road 128 0 0\nvoid 0 0 0\nold tree 0 128 0\n", encoding="utf-8")
    colours = np.array([[128, 0, 0], [0, 0, 0], [0, 128, 0]], np.uint8)
    for name, (height, width) in (("wide", (20, 40)), ("high", (30, 20))):
        save(tmp_path / "test" / "images" / f"{name}.png", picture(height, width))
        save(tmp_path / "test" / "masks" / f"{name}.png", colours[halves(height, width, 2, 1)])
    return tmp_path


def open_folder(root: Path, size: int | None = None, crop: int | None = None) -> DataSource:
    return open_data("mask-folder", "segmentation", root, size, crop)


def test_camvid_has_its_classes_its_size_and_no_void(camvid: Path) -> None:
    source = open_data("camvid", "segmentation", camvid)
    assert source.image_shape == (3, 36, 48)
    assert len(source.class_names) == 11
    for split in (source.training(), source.held_out()):
        assert split.images.shape == (2, 3, 36, 48)
        assert split.targets.unique().tolist() == [0, 255]
        assert (split.targets[:, :, :24] == 0).all()


def test_the_shorter_side_is_scaled_and_labels_keep_their_values(camvid: Path) -> None:
    source = open_data("camvid", "segmentation", camvid / "camvid", 18)
    assert source.image_shape == (3, 18, 24)
    assert source.image_size == 18
    held_out = source.held_out()
    assert held_out.images.shape == (2, 3, 18, 24)
    assert held_out.targets[0, 0].tolist() == [0] * 12 + [255] * 12


def test_networks_are_trained_on_crops_and_scored_on_whole_images(camvid: Path) -> None:
    source = open_data("camvid", "segmentation", camvid, None, 16)
    assert source.image_shape == (3, 16, 16)
    assert source.held_out().images.shape == (2, 3, 36, 48)


def test_images_of_several_sizes_come_whole_each_in_batches_of_its_own_size(folder: Path) -> None:
    source = open_folder(folder)
    assert source.class_names == ("road", "old tree")
    assert source.palette == ((128, 0, 0), (0, 128, 0))
    assert source.image_shape == (3, 20, 20)
    wide, high = source.held_out().batches(8)
    assert wide.images.shape == (1, 3, 20, 40)
    assert high.targets.shape == (1, 30, 20)
    for batch in (wide, high):
        torch.testing.assert_close(batch.images[0, :, 0, 0], torch.tensor([200, 100, 50]) / 255)
        assert batch.targets.unique().tolist() == [1, 255]


def test_masks_of_indices_need_no_colours(folder: Path) -> None:
    (folder / "classes.txt").write_text("road\nvoid\nold tree\n")
    for file in (folder / "test" / "masks").iterdir():
        with Image.open(file) as image:
            height, width = image.height, image.width
        indexed = Image.fromarray(halves(height, width, 2, 255))
        indexed.putpalette([value // 3 for value in range(768)])
        indexed.save(file)
    targets = open_folder(folder).held_out().targets
    assert targets.unique().tolist() == [1, 255]


def test_a_folder_without_splits_is_held_out_and_not_trained_on(folder: Path) -> None:
    for name in ("images", "masks"):
        (folder / "test" / name).rename(folder / name)
    (folder / "test").rmdir()
    source = open_folder(folder)
    assert len(source.held_out()) == 2
    with pytest.raises(UsageError, match="no train/ to train on"):
        source.training()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("road 1 2 3\ntree 1 2 3\n", "'road' and 'tree' the same colour, 1 2 3"),
        ("road 1 2 3\ntree\n", "no colour to 'tree'"),
        ("road 1 2 300\ntree 1 2 3\n", "from 0 to 255"),
        ("road\nroad\n", "names 2 classes, 1 different"),
        ("road\n", "names 1 classes"),
        ("ro\x1bad\ntree\n", "cannot be printed"),
        ("road\nvoid\nold tree\n", "no map of indices but a picture of mode RGB"),
        ("road 128 0 0\nold tree 0 128 0\n", r"holds the colour \(0, 0, 0\), which is no class"),
    ],
)
def test_a_class_list_that_cannot_be_meant_is_refused(folder: Path, text: str, reason: str) -> None:
    (folder / "classes.txt").write_text(text)
    with pytest.raises(UsageError, match=reason) as refused:
        open_folder(folder).held_out()
    assert str(refused.value).isprintable()


def test_what_does_not_pair_up_is_named(camvid: Path) -> None:
    root = camvid / "camvid"
    save(root / "test" / "c.png", picture(36, 48))
    with pytest.raises(UsageError, match=r"test.c\.png has no partner"):
        open_data("camvid", "segmentation", camvid)
    save(root / "testannot" / "c.png", halves(36, 40, 0, 0))
    with pytest.raises(UsageError, match=r"c\.png has 48x36 pixels and .*c\.png 40x36"):
        open_data("camvid", "segmentation", camvid)
    save(root / "testannot" / "c.png", halves(36, 48, 0, 12))
    with pytest.raises(UsageError, match=r"testannot.c\.png: it holds the value 12, which is no class"):
        open_data("camvid", "segmentation", camvid).held_out()
    (root / "testannot" / "c.png").write_bytes(b"\x89PNG")
    with pytest.raises(UsageError, match=r"testannot.c\.png"):
        open_data("camvid", "segmentation", camvid)
    with pytest.raises(UsageError, match="no CamVid in"):
        open_data("camvid", "segmentation", camvid / "elsewhere")


def test_crops_are_for_label_maps_only(camvid: Path) -> None:
    with pytest.raises(UsageError, match="leave out `crop_size`"):
        open_data("image-folder", "classification", camvid, None, 32)
