"""Pictures in the page are as large as they have to be, and no larger."""

import io
from base64 import b64decode
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from compress.report.pictures import TILE, WIDEST, picture_uri, sample_uri, shares_uri, tile_uri


def decoded(uri: str) -> Image.Image:
    picture = Image.open(io.BytesIO(b64decode(uri.partition(",")[2])))
    picture.load()
    return picture


def noise(path: Path, width: int, height: int) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_single_images_are_reduced_to_a_tile_and_small_ones_stay_as_they_are(tmp_path: Path) -> None:
    assert decoded(tile_uri(noise(tmp_path / "large.png", 400, 200))).size == (TILE, TILE // 2)
    small = torch.randint(256, (3, 20, 30), dtype=torch.uint8)
    shown = decoded(sample_uri(small))
    assert torch.equal(torch.from_numpy(np.array(shown)).permute(2, 0, 1), small)


def test_pictures_that_are_too_wide_or_too_heavy_are_made_lighter(tmp_path: Path) -> None:
    path = noise(tmp_path / "wide.png", 2 * WIDEST, 100)
    uri = picture_uri(path)
    assert uri.startswith("data:image/jpeg")
    assert decoded(uri).width == WIDEST
    light = tmp_path / "light.png"
    Image.new("RGB", (500, 20)).save(light)
    assert b64decode(picture_uri(light).partition(",")[2]) == light.read_bytes()


def test_shares_are_told_by_opacity_so_that_any_background_will_do() -> None:
    opacity = np.array(decoded(shares_uri(torch.tensor([[1.0, 0.0], [0.5, 0.5]]))))[..., 3]
    assert opacity.tolist() == [[255, 0], [128, 128]]
