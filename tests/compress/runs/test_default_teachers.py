"""Teachers that nobody has to bring: one comes with the package, others are taught once and kept."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from compress.runs.evaluation import evaluate
from compress.runs.models import find_teacher
from compress.runs.resolution import resolve
from compress.tasks import held_out_of, teaching
from compress.tasks.data import open_data
from compress.tasks.models.model_folder import load_model
from compress.tasks.models.teachers import read_teacher
from compress.tasks.packaged_teacher import PACKAGED
from compress.tasks.teaching import EMBEDDED_PLANS, Training, cache_key
from compress.training.compute import Compute

CPU = Compute.choose("cpu", "fp32")
DIGITS = open_data("digits", "classification")
SCENES = open_data("digit-scenes", "segmentation")
PLAN = replace(EMBEDDED_PLANS["classification"], steps=2, batch=4)
PACKAGE = Path(teaching.__file__).parent


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_the_packaged_teacher_is_the_file_and_has_the_score_that_are_promised() -> None:
    for promised in PACKAGED:
        file = promised.folder / "model.safetensors"
        assert sha256(file.read_bytes()).hexdigest() == promised.sha256
        model, card = load_model(promised.folder)
        assert (card.network, card.data) == (promised.network, promised.data[0])
        score = evaluate(model, held_out_of(SCENES), CPU)
        assert score.headline == pytest.approx(promised.score, abs=0.003)
        assert promised.score >= 0.70


def test_all_packaged_teachers_together_are_small() -> None:
    assert sum(file.stat().st_size for file in (PACKAGE / "teachers").rglob("*") if file.is_file()) <= 4_000_000


@pytest.mark.usefixtures("empty_cache")
def test_the_embedded_scenes_need_no_lesson(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Training, "run", lambda *_: pytest.fail("it was taught"))
    settings = resolve({"task": "segmentation", "teacher": "deeplabv3"}, None)
    assert settings.teacher is not None
    teacher = find_teacher(read_teacher("segmentation", settings.teacher), SCENES, CPU, seed=0)
    assert teacher(torch.rand(1, 3, 64, 64)).shape == (1, 11, 64, 64)
    assert "comes with the package" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "teacher"),
    [
        ({}, "deeplabv3:tu-resnet10t:4x64"),
        ({"data": "digit-scenes-tuning"}, "deeplabv3:tu-resnet10t:4x64"),
        ({"teacher": "deeplabv3:resnet50"}, "deeplabv3:resnet50"),
        ({"teacher": "unet"}, "unet"),
        ({"teacher_weights": Path("mine.safetensors"), "data": "digit-scenes"}, "deeplabv3"),
        ({"data": "camvid", "data_root": Path("camvid"), "method": "fast-dfkd"}, "deeplabv3:tu-resnet10t"),
        ({"data": "nyuv2", "data_root": Path("nyuv2")}, "deeplabv3"),
    ],
    ids=str,
)
def test_a_bare_name_means_the_packaged_teacher_on_its_own_data_without_other_weights_only(
    flags: dict, teacher: str
) -> None:
    assert resolve({"task": "segmentation", **flags}, None).teacher == teacher


@pytest.mark.usefixtures("empty_cache")
def test_another_teacher_is_taught_once_and_then_read_from_the_cache(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(EMBEDDED_PLANS, "classification", PLAN)
    first = find_teacher(read_teacher("classification", "cifar_wrn_16_1"), DIGITS, CPU, seed=0)
    assert "taught once" in capsys.readouterr().err
    monkeypatch.setattr(Training, "run", lambda *_: pytest.fail("it was taught again"))
    second = find_teacher(read_teacher("classification", "cifar_wrn_16_1"), DIGITS, CPU, seed=0)
    assert "read from the cache" in capsys.readouterr().err
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True))


def test_what_decides_how_a_teacher_comes_out_names_it_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = ("cifar_wrn_16_1", DIGITS, PLAN, CPU, 0)
    key = cache_key(*usual)
    assert key == cache_key(*usual)
    changes = {0: "cifar_wrn_16_2", 1: SCENES, 2: replace(PLAN, steps=3), 3: replace(CPU, dtype=torch.bfloat16), 4: 1}
    others = {cache_key(*(changes[at] if at == index else old for index, old in enumerate(usual))) for at in changes}
    assert len(others - {key}) == len(changes)
    monkeypatch.setattr(teaching, "VERSION", teaching.VERSION + 1)
    assert cache_key(*usual) != key


def test_a_changed_line_of_code_throws_no_taught_teacher_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda file: pytest.fail(f"it read {file}"))
    assert len(cache_key("cifar_wrn_16_1", DIGITS, PLAN, CPU, 0)) == 16
