"""`compress predict`: what a model sees in photographs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from reduced_export import reduce_exports

from compress.export import export_verified
from compress.runs.models import card_of
from compress.tasks.data import open_data
from compress.tasks.models import create_model
from compress.tasks.models.model_folder import save_model

Run = Callable[..., int]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name, size in (("wide.jpg", (90, 50)), ("high.png", (40, 70))):
        pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def saved(folder: Path, task: str, name: str, *, exported: bool = False) -> Path:
    """An untrained model of the embedded data, as a model directory, if asked for with an ONNX file in it."""
    source = open_data(None, task)
    torch.manual_seed(0)
    model = create_model(task, name, len(source.class_names)).eval()
    card = card_of(name, source, model)
    save_model(folder, model, card, "# untrained\n")
    if exported:
        export_verified(model, card.spec, folder / "model.onnx")
    return folder


def answers(out: Path) -> list[dict]:
    return json.loads((out / "predictions.json").read_text())["predictions"]


def test_a_segmenter_paints_photographs_of_every_size_and_its_file_paints_the_same(
    run: Run, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduce_exports(monkeypatch)
    model = saved(tmp_path / "model", "segmentation", "deeplabv3:tu-test_resnet", exported=True)
    assert run("predict", model, photographs, "--out", tmp_path / "torch") == 0
    assert run("predict", model / "model.onnx", photographs, "--out", tmp_path / "onnx") == 0
    for name, size in (("wide", (90, 50)), ("high", (40, 70))):
        maps = [np.array(Image.open(tmp_path / kind / f"{name}.classes.png")) for kind in ("torch", "onnx")]
        assert maps[0].shape == size[::-1]
        assert (maps[0] == maps[1]).mean() > 0.999
        painted = [Image.open(tmp_path / kind / f"{name}.classes.png").getpalette() for kind in ("torch", "onnx")]
        assert painted[0] == painted[1]
        assert painted[0][:3] == [0, 0, 0]  # the background of digit scenes
        with Image.open(tmp_path / "torch" / f"{name}.png") as picture:
            assert picture.width > size[0]
    for answer in answers(tmp_path / "torch"):
        assert sum(answer["shares"].values()) == pytest.approx(1)
        assert 0 < answer["confidence"] <= 1


def test_a_classifier_gives_its_best_guesses(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(tmp_path / "model", "classification", "cifar_wrn_16_1")
    assert run("predict", model, photographs / "wide.jpg", "--out", tmp_path / "out") == 0
    (answer,) = answers(tmp_path / "out")
    probabilities = [guess["probability"] for guess in answer["guesses"]]
    assert len(probabilities) == 5
    assert probabilities == sorted(probabilities, reverse=True)
    assert f"wide.jpg: {answer['guesses'][0]['class']}" in capsys.readouterr().out


def test_what_cannot_be_answered_is_refused_in_one_line(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(tmp_path / "model", "segmentation", "fpn:tu-test_resnet")
    (photographs / "wide.png").write_bytes((photographs / "high.png").read_bytes())
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    for words, reason in (
        ([], "no photographs"),
        ([tmp_path / "nowhere.png"], "is no png, jpg, webp"),
        ([tmp_path / "notes.txt"], "is no png, jpg, webp"),
        ([photographs], "two photographs are called wide"),
        ([photographs / "high.png", tmp_path / "broken.png"], "cannot read the image"),
    ):
        assert run("predict", model, *words, "--out", tmp_path / "out") == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("compress:")]
        assert len(lines) == 1
        assert reason in lines[0]
        assert not (tmp_path / "out").exists()
    assert run("predict", model, photographs / "high.png", "--out", photographs) == 2
    assert "is not an empty folder" in capsys.readouterr().err
