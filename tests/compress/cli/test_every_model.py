"""Every command takes every model: the table of `docs/models.md`, a test a cell. All hold the same two networks."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from model_shelf import CLASSES, NAMES, NETWORKS, SIDE
from torch import nn

from compress.data_settings import ModelSettings
from compress.export import OnnxModel
from compress.runs.first_inference import peak_of_first_inference
from compress.runs.opening import open_model
from compress.tasks.data.class_names import imagenet_names
from compress.tasks.models import create_model

Run = Callable[..., int]
Complaint = Callable[[Callable[[], object]], str]
PREPARED = ["--image-size", SIDE, "--crop-pct", 1, "--crop-mode", "center", "--interpolation", "bilinear"]


KINDS: dict[str, tuple[str, bool]] = {
    "run": ("run", False),
    "student folder": ("student", False),
    "file of compress": ("student/model.safetensors", False),
    "timm or SMP folder": ("library", False),
    "folder in shards": ("shards", False),
    "checkpoint": ("weights.pth", True),
    "ONNX file": ("model.onnx", False),
}
"""By name, where it lies below the folder of its task, and whether it has to be told what network it is."""
TASKS = [*NETWORKS]
UNSIZED = {"timm or SMP folder", "folder in shards", "checkpoint"}
"""Kinds of segmenters that say neither the size of their images nor the names of their classes."""


def words_of(shelf: Path, task: str, kind: str, *, scored: bool = False) -> list[object]:
    place, told = KINDS[kind]
    words: list[object] = [shelf / task / place]
    if told:
        words += ["--teacher", NETWORKS[task]]
        words += [*PREPARED, "--class-names", shelf / task / "names.txt"] if task == "classification" else []
    if task == "segmentation" and kind in UNSIZED:
        words += ["--image-size", SIDE, *([] if scored else ["--class-names", shelf / task / "names.txt"])]
    return words


def data_of(shelf: Path, task: str) -> list[object]:
    classifies = task == "classification"
    return [
        "--data",
        "image-folder" if classifies else "mask-folder",
        "--data-root",
        shelf / ("images" if classifies else "scenes"),
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_evaluate(task: str, kind: str, shelf: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    reports = []
    for each in (kind, "run"):
        assert run("evaluate", *words_of(shelf, task, each, scored=True), *data_of(shelf, task), "--json") == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert reports[0] == reports[1]
    assert reports[0]["task"] == task


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_predict(task: str, kind: str, shelf: Path, run: Run, tmp_path: Path) -> None:
    answers = []
    for number, each in enumerate((kind, "run")):
        out = tmp_path / str(number)
        assert run("predict", *words_of(shelf, task, each), shelf / "photograph.png", "--out", out) == 0
        answers.append(json.loads((out / "predictions.json").read_text())["predictions"][0])
    if task == "classification":
        rows = [{guess["class"]: guess["probability"] for guess in answer["guesses"]} for answer in answers]
    else:
        rows = [answer["shares"] for answer in answers]
    assert rows[0] == pytest.approx(rows[1], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_export(
    task: str, kind: str, shelf: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.onnx"
    code = run("export", *words_of(shelf, task, kind), "--out", out)
    if kind == "ONNX file":
        assert code == 2
        assert "is an ONNX file already" in capsys.readouterr().err
        return
    assert code == 0
    card = OnnxModel(out).card
    assert (card.task, card.class_names) == (task, NAMES[task])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_benchmark(
    task: str, kind: str, shelf: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress.runs.benchmark.cold_start", lambda *_: {"seconds": 0.0, "memory_mb": 0.0})
    assert run("benchmark", *words_of(shelf, task, kind), "--batch", 1, "--seconds", 0.01, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["p50_ms"] > 0
    assert row["runtime"] == ("onnxruntime" if kind == "ONNX file" else "eager")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_distil_from_it(
    task: str, kind: str, shelf: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, told = KINDS[kind]
    words: list[object] = ["--teacher", shelf / task / place]
    if told:
        words = ["--teacher", NETWORKS[task], "--teacher-weights", shelf / task / place]
    words += ["--image-size", SIDE] if task == "classification" and told else []
    student = ["--student", "cifar_wrn_16_1" if task == "classification" else "linknet:tu-test_resnet"]
    code = run(
        "distill", "--task", task, *words, *student, *data_of(shelf, task), "--dry-run", "--out", tmp_path / "run"
    )
    printed = capsys.readouterr()
    if kind == "ONNX file":
        assert code == 2
        assert "which has no gradients" in printed.err
    else:
        assert code == 0, printed.err


@pytest.mark.parametrize("task", TASKS)
def test_a_new_process_opens_what_had_to_be_told(task: str, shelf: Path) -> None:
    settings = ModelSettings(teacher=NETWORKS[task], image_size=SIDE).model_dump()
    assert peak_of_first_inference("eager", shelf / task / "weights.pth", "cpu", (3, SIDE, SIDE), settings) > 0


def test_timms_own_prefix_is_taken_too(shelf: Path) -> None:
    network, card = open_model(Path(f"local-dir:{shelf / 'classification' / 'library'}"))
    assert card.class_names == CLASSES
    images = torch.rand(1, 3, SIDE, SIDE)
    torch.testing.assert_close(network(images), open_model(shelf / "classification" / "run")[0](images))


def test_classes_without_names_are_imagenets_or_numbered(tmp_path: Path) -> None:
    for count, first in ((1000, imagenet_names(1000)[0]), (3, "class 0")):
        network = create_model("classification", "test_resnet", count).network
        torch.save(network.state_dict(), tmp_path / "weights.pth")
        card = open_model(tmp_path / "weights.pth", ModelSettings(teacher="test_resnet"))[1]
        assert (len(card.class_names), card.class_names[0]) == (count, first)


def test_names_in_a_checkpoint_are_those_of_its_classes(tmp_path: Path) -> None:
    network = create_model("classification", "test_resnet", 3).network
    torch.save({"state_dict": network.state_dict(), "idx_to_class": dict(enumerate(CLASSES))}, tmp_path / "weights.pth")
    assert open_model(tmp_path / "weights.pth", ModelSettings(teacher="test_resnet"))[1].class_names == CLASSES


@torch.no_grad()
def test_a_binary_segmenter_has_two_classes_and_its_threshold(tmp_path: Path) -> None:
    network: nn.Module = create_model("segmentation", "fpn:tu-test_resnet", 1).network.eval()
    network.save_pretrained(tmp_path)
    model, card = open_model(tmp_path, ModelSettings(image_size=SIDE, threshold=0.3))
    images = torch.rand(1, 3, SIDE, SIDE)
    above = network(model.normalised(images)).sigmoid() > 0.3
    assert torch.equal(model(images).argmax(dim=1), above[:, 0].long())
    assert (card.class_names, card.threshold) == (("background", "object"), 0.3)
