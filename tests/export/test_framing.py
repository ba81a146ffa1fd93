"""One geometry of resize and crop: timm's, with Pillow, in torch and in the graph of a file alike."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import parser
from PIL import ExifTags, Image
from timm.data import create_transform

from compress.errors import UsageError
from compress.export import FileCard, Form, OnnxModel, Order, export_verified
from compress.export.card import CARD_KEY
from compress.export.onnx_framing import framed, scaled_to_side
from compress.export.torch_framing import shown
from compress.framing import CENTRAL_SQUARE, CROP_MODES, Framing, border_of, scaled
from compress.task import TaskSpec

MEAN = (0.485, 0.456, 0.406)
FRAMINGS = [
    Framing(crop_mode=mode, crop_pct=share, interpolation=interpolation, fill=border_of(MEAN))
    for mode, share, interpolation in product(CROP_MODES, (0.875, 0.95, 1.0), ("bilinear", "bicubic"))
]
SIZES = [(224, 224), (288, 288), (299, 299), (48, 64)]
PICTURES = [(301, 200), (97, 333), (224, 224), (30, 41)]
"""Height and width."""
FEW_SHADES = 3


def name(framing: Framing) -> str:
    return f"{framing.crop_mode}-{framing.crop_pct}-{framing.interpolation}"


def picture(height: int, width: int) -> Image.Image:
    """Smooth colours with an edge and some noise, as photographs have."""
    noise = np.random.default_rng(height * width)
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = np.stack([np.sin(9 * down + across), np.cos(7 * across), np.sin(5 * down * across)], axis=2)
    pixels = 128 + 90 * waves + 50 * (across > 0.4)[..., None] + noise.normal(0, 8, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def planes(image: Image.Image) -> np.ndarray:
    return np.asarray(image).transpose(2, 0, 1)


@pytest.mark.parametrize("framing", FRAMINGS, ids=name)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_network_sees_what_timms_transform_shows(framing: Framing, size: tuple[int, int]) -> None:
    transform = create_transform(
        (3, *size),
        crop_pct=framing.crop_pct,
        crop_mode=framing.crop_mode,
        interpolation=framing.interpolation,
        mean=MEAN,
        normalize=False,
    )
    for height, width in PICTURES:
        photograph = picture(height, width)
        assert np.array_equal(planes(framing.image(photograph, size)), transform(photograph).numpy())


def in_a_graph(steps: str, photograph: Image.Image) -> np.ndarray:
    """What the steps make of a photograph, `[3, h, w]`."""
    graph = f"""steps (uint8[batch, 3, rows, columns] before_planes) => (float[batch, 3, h, w] before_sized) {{
        size = Shape <start = 2, end = 4> (before_planes)
        before_front = Shape <start = 0, end = 2> (before_planes)
        {steps}
    }}"""
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 18]>\n{graph}')
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"before_planes": planes(photograph)[None]})[0][0]


@pytest.mark.parametrize("framing", FRAMINGS, ids=name)
def test_the_graph_and_torch_show_what_pillow_shows_but_for_rounding(framing: Framing) -> None:
    for (height, width), size in zip(PICTURES, SIZES, strict=True):
        photograph = picture(height, width)
        expected = planes(framing.image(photograph, size)).astype(int)
        card = FileCard(
            task="classification", class_names=("a", "b"), image_shape=(3, *size), image_size=None, framing=framing
        )
        images = torch.from_numpy(planes(photograph).copy())[None].float() / 255
        in_torch = shown(images, card)[0].mul(255).round().int().numpy()
        for pixels in (in_a_graph(framed(framing, size), photograph), in_torch):
            assert pixels.shape == expected.shape
            difference = np.abs(pixels - expected)
            assert difference.max() <= FEW_SHADES
            # where one side grows and the other shrinks, Pillow may resize down first and round other shades
            assert (difference > 0).mean() < (0.25 if framing.crop_mode == "squash" else 0.03)


@pytest.mark.parametrize("side", [96, 250])
def test_label_maps_are_scaled_in_the_graph_as_with_pillow(side: int) -> None:
    for height, width in PICTURES:
        photograph = picture(height, width)
        size = scaled((height, width), side)
        difference = np.abs(
            in_a_graph(scaled_to_side(side), photograph) - planes(Framing(crop_mode="squash").image(photograph, size))
        )
        assert difference.max() <= FEW_SHADES


@pytest.mark.parametrize(("wrong", "message"), [
    ({"crop_mode": "middle"}, "crop mode"), ({"crop_pct": 0.0}, "crop_pct"), ({"crop_pct": 1.1}, "crop_pct"),
    ({"crop_pct": float("nan")}, "crop_pct"), ({"interpolation": "cubic"}, "interpolation"),
    ({"fill": (0, 0, 256)}, "fill"),
])  # fmt: skip
def test_a_framing_that_makes_no_sense_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Framing(**wrong)


def test_a_strip_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="would be resized"):
        CENTRAL_SQUARE.image(Image.new("RGB", (1, 40_000)), (224, 224))


class Darkness(torch.nn.Module):
    """Whether the left half is darker than the right one: a decision that crop and orientation change."""

    stride = 1

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        left, right = images.mean(dim=1).chunk(2, dim=2)
        return torch.stack([right.mean(dim=(1, 2)), left.mean(dim=(1, 2))], dim=1) * 9


@pytest.fixture(scope="module", params=["float", "uint8"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    framing = Framing(crop_mode="border", crop_pct=0.875, interpolation="bicubic", fill=(124, 116, 104))
    spec = TaskSpec(
        name="classification",
        image_shape=(3, 32, 32),
        class_names=("dark", "light"),
        metric="top1",
        ignore_index=-1,
        image_size=32,
        framing=framing,
    )
    path = tmp_path_factory.mktemp("framed") / "model.onnx"
    # noise has no lighter half: both logits would be the same but for the rounding of a shade
    shaded = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.1, 1, 32)
    order = Order(form=Form(request.param, "logits"), dynamic_size=False)
    _, results = export_verified(Darkness().eval(), spec, path, order, images=shaded)
    assert all(result.passed for result in results), [str(result) for result in results]
    return path


def test_a_file_carries_its_framing_and_shows_pictures_by_it(file: Path) -> None:
    model = OnnxModel(file)
    assert model.card.framing == Framing(
        crop_mode="border", crop_pct=0.875, interpolation="bicubic", fill=(124, 116, 104)
    )
    for height, width in PICTURES:
        photograph = picture(height, width)
        seen = torch.from_numpy(planes(model.card.framing.image(photograph, (32, 32))).copy())[None].float() / 255
        expected = Darkness()(seen).softmax(dim=1)[0]
        decided = model(photograph)[0]
        assert decided.scores[decided.classes.argsort()] == pytest.approx(expected.numpy(), abs=2e-3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_file_answers_alike_however_the_camera_was_held(file: Path, tmp_path: Path, orientation: int) -> None:
    turns = [
        None,
        "FLIP_LEFT_RIGHT",
        "ROTATE_180",
        "FLIP_TOP_BOTTOM",
        "TRANSPOSE",
        "ROTATE_90",
        "TRANSVERSE",
        "ROTATE_270",
    ]
    photograph, turn, exif = picture(60, 90), turns[orientation - 1], Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    (photograph.transpose(Image.Transpose[turn]) if turn else photograph).save(tmp_path / "x.png", exif=exif)
    model = OnnxModel(file)
    with Image.open(tmp_path / "x.png") as stored:
        turned = model(stored)[0]
    assert np.array_equal(turned.scores, model(photograph)[0].scores)
    assert np.array_equal(turned.classes, model(photograph)[0].classes)


def test_a_card_of_before_shows_the_central_square() -> None:
    card = FileCard(task="classification", class_names=("a", "b"), image_shape=(3, 8, 8), image_size=8)
    entries = card.entries()
    entries[CARD_KEY] = entries[CARD_KEY].replace(
        ', "framing": {"crop_mode": "center", "crop_pct": 1.0, "interpolation": "bilinear", "fill": [0, 0, 0]}', ""
    )
    assert "framing" not in entries[CARD_KEY]
    assert FileCard.read(entries) == card
    framed_card = replace(card, framing=FRAMINGS[1])
    assert FileCard.read(framed_card.entries()) == framed_card
    broken = framed_card.entries()
    broken[CARD_KEY] = broken[CARD_KEY].replace('"center"', '"middle"')
    with pytest.raises(ValueError, match="crop mode"):
        FileCard.read(broken)


def test_pixels_are_not_taken_where_the_graph_cannot_resize_them_so(tmp_path: Path) -> None:
    spec = TaskSpec(
        name="classification",
        image_shape=(3, 8, 8),
        class_names=("a", "b"),
        metric="top1",
        ignore_index=-1,
        image_size=8,
        framing=Framing(interpolation="lanczos"),
    )
    with pytest.raises(UsageError, match="lanczos"):
        export_verified(Darkness().eval(), spec, tmp_path / "x.onnx", Order(form=Form("uint8"), dynamic_size=False))
