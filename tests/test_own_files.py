"""Files of modules of the user's own, through `compress.to_onnx`."""

from pathlib import Path

import pytest
import torch

import compress
from compress.export import OnnxModel, OnnxScores
from compress.testing import FakeTask

NAMES = ("a", "b", "c", "d")


def test_a_module_of_ones_own_becomes_a_verified_file_and_stays_as_it_was(tmp_path: Path) -> None:
    teacher = FakeTask(positions=False).teacher()
    teacher.train()
    file = compress.to_onnx(teacher, tmp_path / "own.onnx", class_names=NAMES, image_shape=(3, 16, 16), output="logits")
    assert teacher.training
    images = torch.rand(4, 3, 16, 16)
    torch.testing.assert_close(OnnxScores(OnnxModel(file))(images), teacher.eval()(images), rtol=1e-3, atol=1e-3)


def test_a_module_of_ones_own_is_calibrated_on_images_made_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, number in (("IMAGES", 64), ("STEPS", 5)):
        monkeypatch.setattr(f"compress.runs.calibration_images.{name}", number)
    teacher = FakeTask(positions=False).teacher()
    file = compress.to_onnx(
        teacher, tmp_path / "8.onnx", class_names=NAMES, image_shape=(3, 16, 16), precision="int8", least_saved=0
    )
    images = torch.rand(64, 3, 16, 16)
    same = OnnxScores(OnnxModel(file))(images).argmax(dim=1) == teacher.eval()(images).argmax(dim=1)
    assert same.float().mean() > 0.9
