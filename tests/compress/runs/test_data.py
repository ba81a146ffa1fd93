"""Data on the user's disk, as a user names it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from compress.tasks.models import create_model

CIFAR = ["--data", "cifar10", "--data-root"]
NETWORKS = ["--teacher", "cifar_resnet20", "--student", "cifar_wrn_16_1"]

Run = Callable[..., int]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A `cifar_resnet20` for ten classes, with a checkpoint's usual wrapping."""
    network = create_model("classification", "cifar_resnet20", 10).network
    file = tmp_path / "teacher.th"
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}, "best_prec1": 10.0}, file)
    return file


def test_weights_from_elsewhere_are_scored_and_the_files_are_reported(
    run: Run, cifar10: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", weights, "--teacher", "cifar_resnet20", *CIFAR, cifar10, "--json") == 0
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert (report["data"], report["n"]) == ("cifar10", 20)
    assert report["files"].keys() == {"batches.meta", "test_batch"}
    assert not report["files"]["test_batch"]["official"]
    assert "not the official files" in shown.err


def test_a_network_is_taught_on_the_training_split_and_knows_its_data(
    run: Run, cifar10: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--teacher", "cifar_wrn_16_1", "--steps", 2, "--batch", 8, "--out", tmp_path / "taught"]
    assert run("teach", *CIFAR, cifar10, *words) == 0
    assert "data_batch_5" in capsys.readouterr().err
    assert run("evaluate", tmp_path / "taught", "--data-root", cifar10.parent, "--json") == 0
    assert json.loads(capsys.readouterr().out)["n"] == 20
    assert run("evaluate", tmp_path / "taught") == 2
    assert "say where with --data-root" in capsys.readouterr().err


def test_a_dry_run_opens_what_the_run_would_open(
    run: Run, cifar10: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["distill", *NETWORKS, *CIFAR, cifar10, "--teacher-weights", weights, "--dry-run"]
    assert run(*words) == 0
    shown = capsys.readouterr()
    assert f"data_root: {cifar10}" in shown.out
    file = cifar10 / "test_batch"
    file.write_bytes(file.read_bytes()[:5000])
    assert run(*words) == 2
    assert "test_batch is cut short" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["distill", "--data", "cifar10"], "say where with --data-root"),
        (["distill", "--data", "digits", "--data-root", "{root}"], "embedded: leave out --data-root"),
        (["distill", *CIFAR, "{root}", "--image-size", "64"], "leave out --image-size"),
        (["distill", *CIFAR, "{root}"], "name its weights with --teacher-weights"),
        (["distill", *CIFAR, "nowhere"], "no cifar10 at nowhere"),
        (["distill", "--data", "image-folder", "--data-root", "nowhere"], "no folder nowhere"),
        (["distill", "--data", "image-folder", "--data-root", ".", "--image-size", "0"], "image_size"),
        (["distill", "--distillation.batch", "4000"], "too few samples for a batch"),
        (["distill", "--replay.capacity", "31"], "the student starts on 31 and distillation.batch is 32"),
        (["teach", *CIFAR, "{root}", "--teacher", "cifar_wrn_16_1", "--batch", "101", "--out", "x"], "too few images"),
        (["teach", *CIFAR, "nowhere", "--out", "x"], "no cifar10 at nowhere"),
        (["evaluate", "{weights}", "--teacher", "cifar_resnet20", "--data", "cifar"], "did you mean 'cifar10'"),
        (["evaluate", "{weights}", "--teacher", "cifar_resnet32", *CIFAR, "{root}"], "does not fit the network"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    run: Run,
    words: list[str],
    expected: str,
    cifar10: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert run(*(word.format(root=cifar10, weights=weights) for word in words)) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "official" not in line]
    assert len(lines) == 1
    assert expected in lines[0]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_teacher_for_other_classes_is_named_as_such(
    run: Run, cifar10: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "hundred.pt"
    torch.save(create_model("classification", "cifar_resnet20", 100).network.state_dict(), other)
    assert run("distill", *NETWORKS, *CIFAR, cifar10, "--teacher-weights", other, "--dry-run") == 2
    assert "hundred.pt has 100 classes and cifar10 10: choose the --data it was trained for" in capsys.readouterr().err
