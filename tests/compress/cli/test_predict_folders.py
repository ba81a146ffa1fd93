"""`compress predict` on folders of photographs: nested, of any kind, some of them broken; and the masks it leaves."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compress.runs.models import card_of
from compress.tasks.data import open_data
from compress.tasks.models import create_model
from compress.tasks.models.model_folder import save_model

Run = Callable[..., int]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained segmenter of the embedded data."""
    source, folder = open_data(None, "segmentation"), tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    network = create_model("segmentation", "fpn:tu-test_resnet", len(source.class_names)).eval()
    save_model(folder, network, card_of("fpn:tu-test_resnet", source, network), "# untrained\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photographs = tmp_path / "photographs"
    for name in ("a.jpg", "day/a.png", "day/noon/b.webp", "c.tif"):
        (photographs / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 130, 3), np.uint8)).save(photographs / name)
    (photographs / "notes.txt").write_text("no image")
    (photographs / "day" / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    return photographs


def test_folders_in_folders_are_answered_and_what_is_passed_over_is_said(
    run: Run, model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", model, folder, "--out", tmp_path / "out") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "1 file is no image and passed over: 1 .txt" in said
    assert "1 of 5 files cannot be read and are passed over: day/broken.jpg" in said
    listing = json.loads((tmp_path / "out/predictions.json").read_text())
    assert {row["file"] for row in listing["predictions"]} == {"a.jpg", "c.tif", "day/a.png", "day/noon/b.webp"}
    assert [row["file"] for row in listing["passed_over"]] == ["day/broken.jpg"]
    for stem in ("a", "c", "day/a", "day/noon/b"):
        with Image.open(tmp_path / "out" / f"{stem}.classes.png") as mask:
            assert mask.size == (130, 120)


def test_masks_come_as_colours_and_as_polygons(run: Run, model: Path, folder: Path, tmp_path: Path) -> None:
    formats = ["--mask-format", "rgb", "--mask-format", "polygons", "--mask-format", "index"]
    assert run("predict", model, folder / "a.jpg", folder / "day", "--out", tmp_path / "out", *formats) == 2
    (folder / "day" / "a.png").unlink()
    assert run("predict", model, folder / "a.jpg", folder / "day", "--out", tmp_path / "out", *formats) == 0
    with Image.open(tmp_path / "out/a.classes.png") as mask, Image.open(tmp_path / "out/a.colours.png") as colours:
        assert np.array_equal(np.asarray(mask.convert("RGB")), np.asarray(colours))
    coco = json.loads((tmp_path / "out/polygons.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["a.jpg", "noon/b.webp"]
    assert {one["image_id"] for one in coco["annotations"]} <= {1, 2}


def test_a_second_run_replaces_its_own_answers_and_no_photograph(
    run: Run, model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", model, folder, "--out", tmp_path / "out", "--mask-format", "rgb"]
    assert run(*words) == 0
    assert run(*words) == 2
    assert run(*words, "--overwrite") == 0
    before = (folder / "day/a.png").read_bytes()
    assert run("predict", model, folder, "--out", folder, "--overwrite") == 2
    assert "would take the place of the photograph" in capsys.readouterr().err
    assert (folder / "day/a.png").read_bytes() == before


def test_a_folder_of_broken_files_is_refused(
    run: Run, model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken").mkdir()
    (folder / "day" / "broken.jpg").rename(tmp_path / "broken" / "a.jpg")
    assert run("predict", model, tmp_path / "broken", "--out", tmp_path / "out") == 2
    assert "cannot read the image" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
