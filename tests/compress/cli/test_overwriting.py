"""What commands write never takes the place of what is somebody else's."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from compress.runs.models import card_of
from compress.storage.marker import MARKER, mark
from compress.tasks.data import open_data
from compress.tasks.models import create_model
from compress.tasks.models.model_folder import save_model

Run = Callable[..., int]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with an untrained classifier of digits."""
    source = open_data("digits", "classification")
    torch.manual_seed(0)
    network = create_model("classification", "cifar_wrn_16_1", 10).eval()
    save_model(tmp_path / "model", network, card_of("cifar_wrn_16_1", source, network), "# untrained\n")
    return tmp_path / "model"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_export_replaces_its_own_file_and_a_foreign_one_only_when_asked(
    run: Run, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes, words = tmp_path / "notes.txt", ["export", model, "--fixed-size", "--out"]
    notes.write_text("mine")
    assert run(*words, notes) == 2
    assert "compress did not write it" in complaint(capsys)
    assert notes.read_text() == "mine"
    for refused in (Path(os.devnull), model / "model.safetensors"):
        before = tree(model)
        assert run(*words, refused, "--overwrite") == 2
        assert "name " in complaint(capsys)
        assert tree(model) == before
    assert run(*words, notes, "--overwrite") == 0
    assert run(*words, notes) == 0, "it is our own now"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_a_project_is_not_emptied_by_distill(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    (project / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (project / "config.yaml").write_text("mine: 1")
    before = tree(project)
    words = ["distill", "--teacher", "cifar_wrn_16_1", "--student", "cifar_wrn_16_1", "--out", project, "--overwrite"]
    assert run(*words) == 2
    assert "is not a run of compress" in complaint(capsys)
    assert tree(project) == before


def test_teach_leaves_a_foreign_folder_alone(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("README.md", "config.json"):
        (tmp_path / name).write_text("mine")
    before = tree(tmp_path)
    for flag in ("--overwrite", "--resume"):
        assert run("teach", "--out", tmp_path, flag) == 2
        assert complaint(capsys)
        assert tree(tmp_path) == before


def photographs(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for index, name in enumerate(names):
        Image.new("RGB", (32, 32), (40 * index, 90, 10)).save(folder / name)
    return folder


def test_an_answer_does_not_take_the_place_of_a_photograph(
    run: Run, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = photographs(tmp_path / "photos", "cat.png", "dog.jpg")
    (tmp_path / "linked").symlink_to(photos)
    before = tree(photos)
    for out in (photos, tmp_path / "linked", tmp_path / "photos" / ".." / "photos"):
        assert run("predict", model, photos, "--out", out, "--overwrite") == 2
        assert "would take the place of the photograph" in complaint(capsys)
    (photos / "dog.png").write_bytes(b"another picture of mine")
    assert run("predict", model, photos / "dog.jpg", "--out", photos, "--overwrite") == 2
    assert "is there and no answer of compress" in complaint(capsys)
    (photos / "dog.png").unlink()
    assert tree(photos) == before


def test_answers_are_replaced_by_answers_and_by_their_own_list_only(
    run: Run, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = photographs(tmp_path / "photos", "cat.jpg"), tmp_path / "answers"
    assert run("predict", model, photos, "--out", out) == 0
    (out / "notes.txt").write_text("mine")
    assert run("predict", model, photos, "--out", out, "--overwrite") == 0
    assert (out / "notes.txt").read_text() == "mine"
    (out / "predictions.json").write_text(json.dumps({"predictions": "of the weather"}))
    capsys.readouterr()
    assert run("predict", model, photos, "--out", out, "--overwrite") == 2
    assert "no answer of compress" in complaint(capsys)


def test_a_card_that_no_file_can_carry_is_refused_before_anything_is_written(
    run: Run, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from compress.runs import exported_model
    from compress.tasks.models.model_folder import load_model

    def infinite(path: Path, settings: object):
        network, card = load_model(path)
        return network, replace(card, origin={"metrics": {"top1": float("inf")}})

    monkeypatch.setattr(exported_model, "open_model", infinite)
    out = tmp_path / "model.onnx"
    assert run("export", model, "--out", out) == 2
    assert "the file's card would be invalid" in complaint(capsys)
    assert not out.exists()


def test_a_model_directory_carries_the_mark_before_anything_else(run: Run, tmp_path: Path) -> None:
    mark(tmp_path, "model")
    assert json.loads((tmp_path / MARKER).read_text()) == {"kind": "model", "format": 1}
