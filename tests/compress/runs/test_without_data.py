"""`compress evaluate RUN --without-data`: what can be said of a student where nobody has labels."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from reduced_export import reduce_exports
from safetensors.torch import load_file, save_file
from scipy.stats import binomtest

from compress.cli import main
from compress.runs import without_data
from compress.runs.models import find_teacher
from compress.runs.without_data import EstimatedAgreement
from compress.tasks.data import DataSource, open_data
from compress.tasks.models import NormalisedModel
from compress.tasks.models.teachers import read_teacher
from compress.teacher import Teacher
from compress.training.compute import Compute

Run = Callable[..., int]


@pytest.fixture(scope="module")
def finished(classifier_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the digits."""
    words = ["--teacher", "cifar_resnet20", "--teacher-weights", classifier_weights, "--student", "cifar_wrn_16_1"]
    words += ["--inversion.samples", 16, "--inversion.steps", 1, "--inversion.width", 8, "--distillation.rounds", 2]
    words += ["--distillation.warmup", 1, "--distillation.steps", 2, "--distillation.batch", 8]
    words += ["--precision", "fp32", "--accept-any-student"]
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        reduce_exports(patch)
        with pytest.raises(SystemExit) as stopped:
            main([str(word) for word in ("distill", *words, "--out", folder)])
    assert stopped.value.code == 0
    return folder


@pytest.fixture
def small_run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, with digits that are not to be opened any more."""
    digits = open_data("digits", "classification")
    closed = replace(digits, training=without_data._nothing, held_out=without_data._nothing)
    monkeypatch.setattr(without_data, "open_data", lambda *_: closed)
    monkeypatch.setattr(without_data, "IMAGES", 40)
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_agreement_is_estimated_on_new_images_without_opening_any_data(
    run: Run, small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    answers = []
    for _ in range(2):
        assert run("evaluate", small_run, "--without-data", "--json") == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1], "the same images each time"
    printed = answers[0]
    assert (printed["schema_version"], printed["task"], printed["data"], printed["n"]) == (
        1,
        "classification",
        None,
        48,
    )
    assert 0 <= printed["low"] <= printed["agreement"] <= printed["high"] <= 1
    assert printed["high"] - printed["low"] > 0.05, "48 images say little"
    assert run("evaluate", small_run, "--without-data") == 0
    said = capsys.readouterr().out
    assert f"{printed['agreement']:.4f}" in said
    assert "not an accuracy" in said


def test_a_default_teacher_is_looked_up_as_the_run_taught_it(
    run: Run, small_run: Path, classifier_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, asked = small_run / "config.yaml", list[str]()

    def find(teacher: Teacher, source: DataSource, compute: Compute, seed: int) -> NormalisedModel:
        asked.append(compute.precision)
        teacher_facts = read_teacher("classification", teacher.name, classifier_weights)
        return find_teacher(teacher_facts, source, compute, seed)

    monkeypatch.setattr(without_data, "find_teacher", find)
    settings = yaml.safe_load(config.read_text()) | {"precision": "bf16", "teacher_weights": None}
    config.write_text(yaml.safe_dump(settings))
    assert run("evaluate", small_run, "--without-data") == 0
    assert asked == ["bf16"], "it scores in fp32, but such a teacher was not this run's"


def test_a_run_of_a_gpu_is_estimated_without_one_if_its_teacher_is_a_file(run: Run, small_run: Path) -> None:
    config = small_run / "config.yaml"
    config.write_text(config.read_text().replace("device: auto", "device: cuda"))
    assert "device: cuda" in config.read_text()
    assert run("evaluate", small_run, "--without-data", "--device", "cpu") == 0


def test_another_teacher_than_the_run_s_is_refused(
    run: Run, small_run: Path, classifier_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, config = load_file(classifier_weights), small_run / "config.yaml"
    save_file({name: tensor + 1 for name, tensor in weights.items()}, tmp_path / "other.safetensors")
    config.write_text(config.read_text().replace(str(classifier_weights), str(tmp_path / "other.safetensors")))
    assert run("evaluate", small_run, "--without-data") == 2
    assert "is not the one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "words", "complaint"),
    [("kd", [], "kd needs collected images"), ("fast-dfkd", ["--data", "digits"], "leave out --teacher, --data")],
)
def test_what_cannot_be_estimated_is_one_line(
    run: Run, small_run: Path, method: str, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_run / "config.yaml"
    config.write_text(config.read_text().replace("method: fast-dfkd", f"method: {method}"))
    assert run("evaluate", small_run, "--without-data", *words) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("hits", [0, 1, 30, 99, 100])
def test_the_interval_is_wilsons(hits: int) -> None:
    shares = (torch.arange(100) < hits).float()
    interval = binomtest(hits, 100).proportion_ci(method="wilson")
    estimate = EstimatedAgreement.of(shares)
    assert estimate.share == hits / 100
    assert estimate.low == pytest.approx(interval.low, abs=1e-9)
    assert estimate.high == pytest.approx(interval.high, abs=1e-9)


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("images", [1, 48, 1000])
def test_the_interval_holds_a_share_of_nothing_or_of_all(share: float, images: int) -> None:
    estimate = EstimatedAgreement.of(torch.full((images,), share))
    assert 0 <= estimate.low <= estimate.share <= estimate.high <= 1
