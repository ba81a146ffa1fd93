"""A teacher is read with its sizes, crops and normalisation, and data is prepared for it accordingly."""

import json
from pathlib import Path

import pytest
import timm
import torch
from class_folders import PLAIN, class_folders, opened, photograph, weights_of
from torch import nn

from compress.data_settings import HeldOutSettings
from compress.errors import UsageError
from compress.framing import CENTRAL_SQUARE, Framing
from compress.runs.models import fit_teacher
from compress.runs.reading import teacher_of
from compress.tasks.models import NormalisedModel, create_model
from compress.tasks.models.model_folder import Card, load_model, save_model


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
    assert teacher.framing == Framing(crop_mode="border", crop_pct=1.0, interpolation="bilinear", fill=(26, 51, 76))
    assert (teacher.mean, teacher.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    source = opened(teacher, class_folders(tmp_path, "a", "b"), size=64)
    assert source.image_shape == (3, 64, 64)
    assert source.framing == teacher.framing


def test_a_network_that_says_nothing_is_shown_the_central_square() -> None:
    teacher = teacher_of("classification", "cifar_resnet20", None, PLAIN)
    assert (teacher.image_size, teacher.framing, teacher.mean) == (None, CENTRAL_SQUARE, None)


def test_a_teacher_of_this_package_says_everything_itself(tmp_path: Path) -> None:
    framing, names = (
        Framing(crop_mode="squash", crop_pct=0.9, interpolation="bicubic", fill=(9, 9, 9)),
        ("cat", "dog", "emu"),
    )
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


def test_foreign_names_are_offered_by_order_before_data_is_opened(tmp_path: Path) -> None:
    state = torch.load(weights_of(1000, tmp_path), weights_only=True)
    torch.save(
        {f"x{i}.{key.rpartition('.')[2]}": value for i, (key, value) in enumerate(state.items())}, tmp_path / "f.pth"
    )
    with pytest.raises(UsageError, match="`match` order loads them so"):
        teacher_of("classification", "test_resnet", tmp_path / "f.pth", PLAIN)
    assert (
        teacher_of("classification", "test_resnet", tmp_path / "f.pth", HeldOutSettings(match="order")).classes == 1000
    )
