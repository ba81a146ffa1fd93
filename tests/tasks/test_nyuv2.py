"""NYUv2 as its owners ship it, in small: the same structure, twelve images, made here."""

from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from compress.errors import UsageError
from compress.tasks.data import DataSource, nyuv2_mat, open_data
from compress.tasks.data.nyuv2_classes import NAMES_13, NAMES_40, TO_13, class_of_labels

COUNT, HEIGHT, WIDTH = 12, 24, 32
FLOOR, WALL, BOOK = 11, 21, 1
"""Labels as the file counts them; a book is one of the other props, which are objects among the 13 classes."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Wall above floor, a book in the corner, unlabelled last column; the image's red says which image it is."""
    images = np.zeros((COUNT, 3, WIDTH, HEIGHT), np.uint8)
    images[:, 0] = np.arange(COUNT)[:, None, None]
    labels = np.full((COUNT, WIDTH, HEIGHT), WALL, np.uint16)
    labels[:, :, HEIGHT // 2 :] = FLOOR
    labels[:, 0, 0] = BOOK
    labels[:, -1] = 0
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        file["images"], file["labels"] = images, labels
        file["depths"] = np.zeros((COUNT, WIDTH, HEIGHT), np.float32)
        name = file.create_dataset("#refs#/a", data=np.array([ord("x")], np.uint16)).ref
        file.create_dataset("names", data=np.array([[name] * 894], dtype=object), dtype=h5py.ref_dtype)
    write_splits(tmp_path, [1, 3, 5, 7, 9, 11, 12], [2, 4, 6, 8, 10])
    return tmp_path


def write_splits(folder: Path, training: list[int], held_out: list[int]) -> None:
    columns = {"trainNdxs": np.array(training, np.uint16)[:, None], "testNdxs": np.array(held_out, np.uint16)[:, None]}
    savemat(folder / "splits.mat", columns)


def opened(root: Path, name: str = "nyuv2", size: int | None = None) -> DataSource:
    return open_data(name, "segmentation", root, size)


def test_every_label_has_a_class_as_published() -> None:
    of_40 = Counter(class_of_labels())
    assert len(of_40) == 40
    assert (of_40[38], of_40[39], of_40[40]) == (68, 82, 707)
    assert sum(of_40.values()) == 894
    pairs = {NAMES_40[i]: NAMES_13[thirteen - 1] for i, thirteen in enumerate(TO_13)}
    assert pairs["television"] == "tv"
    assert pairs["pillow"] == "objects"
    assert pairs["blinds"] == "window"
    assert set(pairs.values()) == set(NAMES_13)


@pytest.mark.parametrize("name", ["nyuv2", "nyuv2-40"])
def test_images_lie_upright_and_splits_are_the_official_ones(root: Path, name: str) -> None:
    source = opened(root, name)
    assert source.image_shape == (3, HEIGHT, WIDTH)
    held_out, training = source.held_out(), source.training()
    assert held_out.images[:, 0, 0, 0].tolist() == [1, 3, 5, 7, 9]
    assert training.images[:, 0, 0, 0].tolist() == [0, 2, 4, 6, 8, 10, 11]
    names = source.class_names
    labels = held_out.targets[0]
    assert names[labels[0, 0]] == ("objects" if name == "nyuv2" else "otherprop")
    assert names[labels[1, 1]] == "wall"
    assert names[labels[-1, 1]] == "floor"
    assert (labels[:, -1] == 255).all()


def test_images_are_scaled_as_they_are_read(root: Path) -> None:
    source = opened(root, size=12)
    assert source.image_shape == (3, 12, 16)
    assert source.held_out().targets.unique().tolist() == [4, 11, 255]


def test_opening_reads_no_image(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("an image was read")

    monkeypatch.setattr(h5py.Dataset, "__getitem__", forbidden)
    assert opened(root).image_shape == (3, HEIGHT, WIDTH)


def test_folders_in_use_are_read_with_0_as_void(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for layout, pixels in (("image", np.zeros((8, 8, 3), np.uint8)), ("seg13", np.eye(8, dtype=np.uint8) * 13)):
            (tmp_path / layout / split).mkdir(parents=True)
            Image.fromarray(pixels).save(tmp_path / layout / split / "1.png")
    source = opened(tmp_path)
    for data in (source.held_out(), source.training()):
        assert data.targets.unique().tolist() == [12, 255]
    for layout, new in (("image", "images"), ("seg13", "labels13")):
        (tmp_path / layout / "test").rename(tmp_path / new)
        (tmp_path / layout).rename(tmp_path / f"old-{layout}")
    pairs = opened(tmp_path)
    assert len(pairs.held_out()) == 1
    with pytest.raises(UsageError, match="no train/ to train on"):
        pairs.training()
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(tmp_path / "labels13" / "1.png")
    with pytest.raises(UsageError, match="holds the value 255, which is no class"):
        opened(tmp_path).held_out()


def test_a_mat_that_is_not_what_its_name_says_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = root / "nyu_depth_v2_labeled.mat"
    whole = file.read_bytes()
    for content in (whole[:5000], b"MATLAB 5.0 MAT-file" + whole[19:512], b""):
        file.write_bytes(content)
        with pytest.raises(UsageError, match=r"nyu_depth_v2_labeled\.mat: .*the MATLAB 7\.3 file") as refused:
            opened(root)
        assert "\n" not in str(refused.value)
    file.write_bytes(whole)
    with h5py.File(file, "a") as content:
        content["labels"][3, 0, 0] = 895
    with pytest.raises(UsageError, match="labels hold 895"):
        opened(root).held_out()
    with h5py.File(file, "a") as content:
        del content["labels"]
    with pytest.raises(UsageError, match="holds no images, labels and names"):
        opened(root)
    with h5py.File(file, "a") as content:
        content["labels"] = np.zeros((COUNT, HEIGHT, WIDTH), np.uint16)
    with pytest.raises(UsageError, match="labels are uint16"):
        opened(root)
    with h5py.File(root / "other.h5", "w") as content:
        content["labels"] = np.zeros((COUNT, WIDTH, HEIGHT), np.uint16)
    with h5py.File(file, "a") as content:
        del content["labels"]
        content["labels"] = h5py.ExternalLink(root / "other.h5", "labels")
    with pytest.raises(UsageError, match="lie in other files"):
        opened(root)


def test_a_split_file_that_does_not_fit_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for training, held_out in (([1, 2], [2, 3]), ([1], [13]), ([0], [1]), ([1, 2], [])):
        write_splits(root, training, held_out)
        with pytest.raises(UsageError, match="does not split the 12 images"):
            opened(root)
    monkeypatch.setattr(nyuv2_mat, "SPLITS_LIMIT", 10)
    with pytest.raises(UsageError, match="official split file"):
        opened(root)
    (root / "splits.mat").unlink()
    with pytest.raises(UsageError, match="official split file"):
        opened(root)
