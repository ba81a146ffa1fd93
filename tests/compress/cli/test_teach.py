"""`compress teach`: a teacher of one's own, from labelled data."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from compress.runs.models import beginning
from compress.storage.lock import HOLDER, LOCK, exclusive
from compress.storage.marker import MARKER
from compress.tasks.data import open_data
from compress.tasks.models import create_model, pretrained
from compress.tasks.teaching import Training

NETWORK = ["--task", "segmentation", "--teacher", "fpn:tu-test_resnet", "--precision", "fp32"]

Run = Callable[..., int]


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that name twelve photographs with masks, of two sizes; the hub of pretrained weights is away."""
    monkeypatch.setattr(pretrained, "_hub_answers", lambda: False)
    root = tmp_path / "photographs"
    for split, count in (("train", 8), ("val", 4)):
        for index in range(count):
            pixels = np.random.default_rng(index).integers(0, 256, (40, 50 + 6 * (index % 2), 3), np.uint8)
            for kind, array in (("images", pixels), ("masks", (pixels[..., 0] > 128).astype(np.uint8))):
                file = root / split / kind / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(file)
    (root / "classes.txt").write_text("dark\nlight\n")
    return ["--data", "mask-folder", "--data-root", str(root)]


def test_a_segmenter_is_taught_on_photographs_scored_and_pictured(
    run: Run, photographs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*NETWORK, *photographs, "--crop-size", 32, "--steps", 2, "--batch", 4, "--loss", "focal"]
    assert run("teach", *words, "--schedule", "poly", "--class-weights", "--out", tmp_path / "taught") == 0
    said = capsys.readouterr().err
    assert "starts from random weights" in said
    assert "on 4 held-out images of mask-folder" in said
    with Image.open(tmp_path / "taught" / "held-out.png") as picture:
        assert picture.width > 3 * 50
    report = json.loads((tmp_path / "taught" / "report.json").read_text())
    assert set(report["iou"]) == {"dark", "light"}
    assert report["settings"]["loss"] == "focal"
    assert report["seconds"]["teaching"] > 0
    assert (tmp_path / "taught" / "iou.png").is_file()
    assert run("evaluate", tmp_path / "taught", *photographs) == 0


def test_an_interrupted_lesson_is_taken_up_again_with_the_same_settings_only(
    run: Run,
    photographs: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["teach", *NETWORK, *photographs, "--steps", 6, "--batch", 4]
    assert run(*words, "--out", tmp_path / "whole") == 0
    step = Training._loss

    def interrupted(training: Training, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if training.done == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return step(training, logits, targets)

    monkeypatch.setattr(Training, "_loss", interrupted)
    folder = tmp_path / "stopped"
    assert run(*words, "--out", folder) == 130
    assert "after step 3 of 6" in capsys.readouterr().err
    assert {file.name for file in folder.iterdir()} - {LOCK, HOLDER, MARKER} == {"unfinished.pt"}
    assert run(*words, "--out", folder) == 2
    assert "pass --resume or --overwrite" in capsys.readouterr().err
    assert run(*words, "--zoom", 3, "--out", folder, "--resume") == 2
    assert "but zoom differs" in capsys.readouterr().err
    assert run(*words, "--out", folder, "--resume") == 0
    assert not (folder / "unfinished.pt").exists()
    whole, continued = (load_file(path / "model.safetensors") for path in (tmp_path / "whole", folder))
    assert whole.keys() == continued.keys()
    assert all(torch.equal(whole[key], continued[key]) for key in whole)


def test_a_place_that_cannot_be_written_is_refused_before_the_lesson(
    run: Run,
    photographs: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Training, "run", lambda *_: pytest.fail("it trained"))
    words = ["teach", *NETWORK, *photographs, "--steps", 2, "--batch", 4, "--out"]
    (tmp_path / "file").touch()
    assert run(*words, tmp_path / "file" / "teacher") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    with exclusive(tmp_path / "teacher"):
        assert run(*words, tmp_path / "teacher") == 2
    assert "is in use by process" in capsys.readouterr().err


def test_nothing_to_resume_is_said(
    run: Run, photographs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("teach", *NETWORK, *photographs, "--out", tmp_path / "new", "--resume") == 2
    assert "nothing to resume" in capsys.readouterr().err
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "unfinished.pt").write_bytes(b"no checkpoint")
    assert run("teach", *NETWORK, *photographs, "--out", tmp_path / "new", "--resume", "--steps", 2, "--batch", 4) == 2
    assert "is broken" in capsys.readouterr().err


def test_what_is_new_in_a_pretrained_network_depends_on_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_download(*arguments: object, pretrained: bool) -> object:
        return create_model(*arguments)

    monkeypatch.setattr(pretrained, "create_model", without_download)
    source = open_data("digits", "classification")
    one, again, other = (beginning("cifar_wrn_16_1", source, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)
