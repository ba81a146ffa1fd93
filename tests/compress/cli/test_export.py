"""`compress export`: a run in every precision, held against the model that it came from."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from compress.export import OnnxModel
from compress.runs.models import card_of, fit_teacher
from compress.storage.run_directory import RunDirectory
from compress.tasks.data import open_data
from compress.tasks.models.model_folder import save_model
from compress.tasks.models.teachers import read_teacher

Run = Callable[..., int]
NEAR_TIES = ("--most-lost", 0.03)
"""A teacher of thirty steps is sure of little: five of 450 images may fall the other way in eight bits."""


@pytest.fixture
def finished(classifier_weights: Path, tmp_path: Path) -> Path:
    """What a run leaves of a classifier that was taught the digits, and of its samples: here, 96 training images."""
    source = open_data("digits", "classification")
    model = fit_teacher(read_teacher("classification", "cifar_resnet20", classifier_weights), source, seed=0)
    run = RunDirectory.create(tmp_path / "run")
    run.write_config({"method": "ssd-kd"})
    split = source.training()
    counts = {name: torch.zeros(96) for name in ("draws", "priority", "confidence")}
    histogram = torch.nn.functional.one_hot(split.targets[:96], 10).to(torch.uint8)
    run.write_checkpoint({"buffer": {"images": split.images[:96], "histogram": histogram, **counts}})
    save_model(run.student, model, card_of("cifar_resnet20", source, model), "# taught\n")
    return run.path


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_smaller_file_says_what_it_kept_of_the_metric(
    run: Run, finished: Path, precision: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("compress.runs.export.calibration_images", lambda *_: pytest.fail("the run has samples"))
    assert run("export", finished, "--precision", precision, "--input", "uint8", *NEAR_TIES) == 0
    file = finished / "export" / f"model.{precision}.onnx"
    assert OnnxModel(file).card.precision == precision
    said = capsys.readouterr().out
    assert "top1 on 450 held-out images: model" in said
    assert "FAILED" not in said
    assert ("INT8 keeps" in said) == (precision == "int8")
    assert ("fp16 is for GPUs" in said) == (precision == "fp16")
    assert f"{precision}: " in said
    assert "MB instead of" in said
    assert "by its documents it runs on cpu, openvino; not tensorrt: " in said


def test_a_file_that_loses_more_than_it_may_is_exit_code_3(
    run: Run, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("compress.runs.export.OnnxScores.__call__", lambda self, images: torch.zeros(len(images), 10))
    assert run("export", finished) == 3
    assert "the file loses" in capsys.readouterr().err


def test_int8_of_a_model_without_a_run_is_calibrated_on_images_made_for_it_or_on_photographs(
    run: Run, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    student, out = finished / "student", tmp_path / "small.onnx"
    for name, number in (("IMAGES", 32), ("BATCH", 16), ("STEPS", 3)):
        monkeypatch.setattr(f"compress.runs.calibration_images.{name}", number)
    assert run("export", student, "--precision", "int8", "--out", out, "--most-lost", 0.2) == 0
    assert "synthesising calibration images 32/32" in capsys.readouterr().err
    monkeypatch.setattr("compress.runs.export.calibration_images", lambda *_: pytest.fail("there are photographs"))
    folder = tmp_path / "photographs"
    folder.mkdir()
    images = open_data("digits", "classification").training().images[:64]
    for index, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        Image.fromarray(image).save(folder / f"{index}.png")
    assert run("export", student, "--precision", "int8", "--out", out, "--calibrate-on", folder, *NEAR_TIES) == 0
    assert OnnxModel(out).card.precision == "int8"


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--opset", 17], "opset 17 is below 18"),
        (["--precision", "int9"], "unknown precision 'int9': did you mean 'int8'"),
        (["--for", "tensorflow"], "unknown target 'tensorflow': did you mean 'tensorrt'"),
        (["--calibrate-on", "."], "--calibrate-on is for --precision int8, not for fp32"),
        (["--out", "."], "is a folder"),
    ],
)
def test_what_cannot_be_written_is_one_line_and_leaves_nothing(
    run: Run, finished: Path, flags: list[object], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("export", finished, *flags) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert complaint in line
    assert not (finished / "export").exists()
