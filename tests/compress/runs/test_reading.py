"""Data is opened as its teacher was shown it: sizes, crops, normalisation, and which class is which."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import ExifTags, Image
from torch import Tensor, nn

from compress.data_settings import HeldOutSettings
from compress.errors import UsageError
from compress.framing import CENTRAL_SQUARE, Framing
from compress.runs.evaluate import evaluate_model
from compress.runs.models import fit_teacher
from compress.runs.predict import predict
from compress.runs.reading import open_for, require_classes, teacher_of
from compress.tasks.data import DataSource
from compress.tasks.data.class_names import imagenet_names, read_class_names
from compress.tasks.models import NormalisedModel, create_model
from compress.tasks.models.model_folder import Card, load_model, save_model
from compress.teacher import Teacher
from compress.training.compute import CPU_FLOAT32

PLAIN = HeldOutSettings()
CPU = CPU_FLOAT32


def photograph(seed: int, height: int = 60, width: int = 90) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def class_folders(root: Path, *names: str) -> Path:
    for index, name in enumerate(names):
        (root / name).mkdir(parents=True)
        photograph(index).save(root / name / "a.png")
    return root


def weights_of(classes: int, folder: Path, name: str = "test_resnet") -> Path:
    torch.manual_seed(0)
    torch.save(create_model("classification", name, classes).network.state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


def opened(teacher: Teacher, root: Path, settings: HeldOutSettings = PLAIN, size: int | None = None) -> DataSource:
    place = {"data": "image-folder", "data_root": root, "image_size": size}
    return open_for(teacher, settings.model_copy(update=place), "classification")


@pytest.mark.parametrize(
    "name", ["test_resnet", "resnet34", "inception_v3", "tf_efficientnet_lite0", "beit_base_patch16_224"]
)
def test_photographs_are_prepared_as_timm_prepares_them_for_a_network(name: str, tmp_path: Path) -> None:
    config = timm.get_pretrained_cfg(name).to_dict()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, pretrained_cfg=config))
    teacher = teacher_of("classification", name, None, PLAIN)
    source = opened(teacher, class_folders(tmp_path, "a", "b"))
    model = NormalisedModel(nn.Identity(), teacher.mean, teacher.std)
    expected = torch.stack([transform(photograph(seed)) for seed in range(2)])
    assert source.image_shape == config["input_size"]
    assert torch.allclose(model.normalised(source.held_out().images / 255), expected, atol=1e-5)


def test_what_is_asked_for_comes_before_what_the_teacher_says(tmp_path: Path) -> None:
    settings = {"crop_mode": "border", "crop_pct": 1.0, "interpolation": "bilinear", "mean": (0.1, 0.2, 0.3)}
    teacher = teacher_of("classification", "test_resnet", None, HeldOutSettings(**settings, std=(0.4, 0.5, 0.6)))
    assert teacher.framing == Framing("border", 1.0, "bilinear", (26, 51, 76))
    assert (teacher.mean, teacher.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    source = opened(teacher, class_folders(tmp_path, "a", "b"), size=64)
    assert source.image_shape == (3, 64, 64)
    assert source.framing == teacher.framing


def test_a_network_that_says_nothing_is_shown_the_central_square() -> None:
    teacher = teacher_of("classification", "cifar_resnet20", None, PLAIN)
    assert (teacher.image_size, teacher.framing, teacher.mean) == (None, CENTRAL_SQUARE, None)


def test_a_teacher_of_this_package_says_everything_itself(tmp_path: Path) -> None:
    framing, names = Framing("squash", 0.9, "bicubic", (9, 9, 9)), ("cat", "dog", "emu")
    card = Card(
        task="classification",
        network="test_resnet",
        data="x",
        class_names=names,
        image_shape=(3, 48, 48),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        image_size=48,
        framing=framing,
    )
    save_model(tmp_path / "model", create_model("classification", "test_resnet", 3), card, "#")
    for weights in (tmp_path / "model" / "model.safetensors", tmp_path / "model"):
        teacher = teacher_of("classification", "test_resnet", weights, PLAIN)
        assert (teacher.classes, teacher.class_names, teacher.image_size) == (3, names, 48)
        assert (teacher.framing, teacher.mean, teacher.std) == (framing, card.mean, card.std)
    assert load_model(tmp_path / "model")[1] == card
    config = json.loads((tmp_path / "model" / "config.json").read_text())["pretrained_cfg"]
    assert (config["crop_pct"], config["crop_mode"], config["interpolation"]) == (0.9, "squash", "bicubic")
    stored = teacher_of("classification", f"local-dir:{tmp_path / 'model'}", None, PLAIN)
    assert (stored.class_names, stored.image_size, stored.framing.crop_mode) == (names, 48, "squash")


def test_flags_reach_the_network_and_its_normalisation(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", "a", "b")
    settings = HeldOutSettings(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    teacher = teacher_of("classification", "test_resnet", weights_of(2, tmp_path), settings)
    model = fit_teacher(teacher, opened(teacher, root, settings, 32), seed=0)
    assert model.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert model.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])


def test_classes_known_from_the_teacher_are_matched_by_name(tmp_path: Path) -> None:
    root = class_folders(tmp_path, *map(str, range(1, 13)))
    natural = tuple(map(str, range(1, 13)))
    teacher = Teacher(name="x", origin="x.pth", classes=12, class_names=natural)
    source = opened(teacher, root)
    assert source.class_names == natural
    assert source.held_out().targets.tolist() == [0, 9, 10, 11, *range(1, 9)]  # read as 1, 10, 11, 12, 2, ...
    assert source.notes == ()
    assert source.present is None


def test_class_names_of_a_file_number_the_classes(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", "cat", "dog")
    (tmp_path / "names.txt").write_text("dog\ncat\n")
    settings = HeldOutSettings(class_names=str(tmp_path / "names.txt"))
    teacher = teacher_of("classification", "test_resnet", weights_of(2, tmp_path), settings)
    assert opened(teacher, root, settings).held_out().targets.tolist() == [1, 0]
    (tmp_path / "names.txt").write_text("dog\ncat\nemu\n")
    with pytest.raises(UsageError, match=r"3 names and .* has 2 classes"):
        teacher_of("classification", "test_resnet", weights_of(2, tmp_path), settings)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n.txt", "tench\ngoldfish\n\n"),
        ("n.json", '["tench", "goldfish"]'),
        ("n.json", '{"0": "tench", "1": "goldfish"}'),
        ("n.json", '{"tench": 0, "goldfish": 1}'),
        ("n.json", '{"0": ["tench", "x"], "1": ["goldfish", "y"]}'),
    ],
)
def test_class_names_are_read_in_every_usual_form(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_class_names(tmp_path / name) == ("tench", "goldfish")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("n.txt", "a\na\n", "'a' twice"),
        ("n.txt", "a\n", "fewer than two"),
        ("n.json", '{"0": "a", "2": "b"}', "none of index"),
        ("n.json", "3", "no list of names"),
        ("n.json", "{", "cannot read class names"),
        ("n.txt", "a\x1b[2J\nb\n", "printed"),
    ],
)
def test_class_names_that_make_no_sense_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        read_class_names(tmp_path / name)


def test_names_that_the_teacher_does_not_have_are_refused_with_the_nearest(tmp_path: Path) -> None:
    teacher = Teacher(name="x", origin="x.pth", classes=3, class_names=("tabby cat", "beagle", "pug"))
    with pytest.raises(UsageError, match=r"x\.pth does not have.*'beegle'.*beagle"):
        opened(teacher, class_folders(tmp_path, "beegle", "pug"))


@pytest.mark.parametrize("folders", [("Tabby_Cat", "pug"), ("tabby-cat", "PUG")])
def test_case_and_hyphens_do_not_tell_classes_apart(tmp_path: Path, folders: tuple[str, str]) -> None:
    teacher = Teacher(name="x", origin="x.pth", classes=3, class_names=("tabby cat", "beagle", "pug"))
    assert sorted(opened(teacher, class_folders(tmp_path, *folders)).held_out().targets.tolist()) == [0, 2]


IMAGENETTE = ("n01440764", "n02102040", "n02979186")


@pytest.mark.parametrize("folders", [IMAGENETTE, ("tench", "English_springer", "cassette player")])
def test_data_of_fewer_classes_is_scored_over_those_by_wordnet_ids_or_words(
    folders: tuple[str, ...], tmp_path: Path
) -> None:
    if folders is IMAGENETTE:
        teacher = teacher_of("classification", "test_resnet", weights_of(1000, tmp_path), PLAIN)
        assert (teacher.classes, teacher.class_names) == (1000, None)
    else:
        teacher = Teacher(name="x", origin="x", classes=1000, class_names=imagenet_names(1000))
    source = opened(teacher, class_folders(tmp_path / "data", *folders))
    indices = [imagenet_names(1000).index(name) for name in IMAGENETTE]
    assert sorted(source.held_out().targets.tolist()) == sorted(indices) == list(source.present or ())
    assert source.notes == ("scored over the 3 of 1000 classes that image-folder has",)


def test_only_classes_that_the_data_has_are_guesses(tmp_path: Path) -> None:
    root, weights = class_folders(tmp_path / "data", *IMAGENETTE), weights_of(1000, tmp_path)
    held_out = HeldOutSettings(data="image-folder", data_root=root)
    scored = evaluate_model(weights, CPU, teacher="test_resnet", held_out=held_out).score
    assert scored.numbers["top5"] == 1.0, "there are three classes to guess"
    assert set(scored.by_class["accuracy"]) == set(IMAGENETTE)


def test_classes_that_nothing_tells_apart_are_asked_for(tmp_path: Path) -> None:
    teacher = teacher_of("classification", "test_resnet", weights_of(7, tmp_path), PLAIN)
    assert teacher.classes == 7
    with pytest.raises(UsageError, match=r"has 7 classes and image-folder 2: .*`class_names`"):
        opened(teacher, class_folders(tmp_path / "data", "cat", "dog"))


def test_a_published_data_set_keeps_its_numbers_whatever_a_stored_model_calls_them(digits: DataSource) -> None:
    labels = tuple(f"LABEL_{index}" for index in range(10))
    stored = Teacher(name="local-dir:x", origin="x", classes=10, class_names=labels)
    assert open_for(stored, HeldOutSettings(data="digits"), "classification") is digits
    with pytest.raises(UsageError, match="does not have"):
        require_classes(digits, labels, "model.safetensors")


@pytest.fixture
def digits() -> DataSource:
    return open_for(Teacher(name="x", origin="x"), HeldOutSettings(data="digits"), "classification")


def test_foreign_names_are_offered_by_order_before_data_is_opened(tmp_path: Path) -> None:
    state = torch.load(weights_of(1000, tmp_path), weights_only=True)
    torch.save(
        {f"x{i}.{key.rpartition('.')[2]}": value for i, (key, value) in enumerate(state.items())}, tmp_path / "f.pth"
    )
    with pytest.raises(UsageError, match="`match` order takes them so"):
        teacher_of("classification", "test_resnet", tmp_path / "f.pth", PLAIN)
    assert (
        teacher_of("classification", "test_resnet", tmp_path / "f.pth", HeldOutSettings(match="order")).classes == 1000
    )


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
    scored = evaluate_model(tmp_path, CPU, held_out=HeldOutSettings(data_root=tmp_path / "data")).score
    assert scored.numbers["top1"] == 1.0
    files = [tmp_path / "data" / name / f"{name}.png" for name in ("left", "right")]
    answers = predict(tmp_path, files, tmp_path / "out")
    assert [answer["guesses"][0]["class"] for answer in answers] == ["left", "right"]
