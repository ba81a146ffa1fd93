"""Photographs that a camera stored turned or mirrored are turned upright before a model sees them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch import Tensor, nn

from compress.data_settings import HeldOutSettings
from compress.runs.evaluate import evaluate_model
from compress.runs.predict import predict
from compress.tasks.models import NormalisedModel
from compress.tasks.models.model_folder import Card
from compress.training.compute import CPU_FLOAT32


def turned(picture: Image.Image, orientation: int, file: Path) -> None:
    names = [
        "",
        "FLIP_LEFT_RIGHT",
        "ROTATE_180",
        "FLIP_TOP_BOTTOM",
        "TRANSPOSE",
        "ROTATE_90",
        "TRANSVERSE",
        "ROTATE_270",
    ]
    exif, name = Image.Exif(), names[orientation - 1]
    exif[ExifTags.Base.Orientation] = orientation
    (picture.transpose(Image.Transpose[name]) if name else picture).save(file, exif=exif)


class Side(nn.Module):
    """Whether the left half is lighter than the right one."""

    def forward(self, images: Tensor) -> Tensor:
        left, right = images.mean(dim=1).chunk(2, dim=2)
        return torch.stack([left.mean(dim=(1, 2)), right.mean(dim=(1, 2))], dim=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_answered_alike_in_every_orientation_by_evaluate_and_predict(
    orientation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp = Image.fromarray(np.tile(np.linspace(255, 0, 60).astype(np.uint8)[None, :, None], (40, 1, 3)))
    for name, picture in (("left", ramp), ("right", ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT))):
        (tmp_path / "data" / name).mkdir(parents=True)
        turned(picture, orientation, tmp_path / "data" / name / f"{name}.png")
    card = Card(
        task="classification",
        network="x",
        data="image-folder",
        class_names=("left", "right"),
        image_shape=(3, 16, 16),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        image_size=16,
    )
    opened = NormalisedModel(Side()), card
    monkeypatch.setattr("compress.runs.evaluate.is_own", lambda _: True)
    monkeypatch.setattr("compress.runs.evaluate.load_model", lambda _: opened)
    monkeypatch.setattr("compress.runs.predict.open_model", lambda *_, **__: opened)
    scored = evaluate_model(tmp_path, CPU_FLOAT32, held_out=HeldOutSettings(data_root=tmp_path / "data")).score
    assert scored.numbers["top1"] == 1.0
    files = [tmp_path / "data" / name / f"{name}.png" for name in ("left", "right")]
    answers = predict(tmp_path, files, tmp_path / "out")
    assert [answer["guesses"][0]["class"] for answer in answers] == ["left", "right"]
