"""`compress benchmark` and `compress doctor`."""

import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from compress.cli import doctor
from compress.export import export_verified
from compress.export.latency import Latency, interleaved
from compress.runs.models import card_of
from compress.tasks.data import open_data
from compress.tasks.models import create_model
from compress.tasks.models.model_folder import save_model

Run = Callable[..., int]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An untrained classifier, and its file in `export/`."""
    source = open_data("digits", "classification")
    torch.manual_seed(0)
    network = create_model("classification", "cifar_wrn_16_1", 10).eval()
    card = card_of("cifar_wrn_16_1", source, network)
    save_model(tmp_path / "model", network, card, "# untrained\n")
    export_verified(network, card.spec, tmp_path / "model" / "export" / "model.onnx")
    return tmp_path / "model"


def test_contenders_take_turns_and_ratios_are_of_rounds() -> None:
    order: list[str] = []
    naps = {"slow": 0.04, "fast": 0.02}

    def nap(name: str) -> Callable[[], None]:
        return lambda: (order.append(name), time.sleep(naps[name]))[1]

    timings = interleaved({name: nap(name) for name in naps}, seconds=0.1)
    turns = order[-4:]
    assert sorted(turns[:2]) == sorted(turns[2:]) == ["fast", "slow"]
    assert len(timings["slow"].seconds) == len(timings["fast"].seconds) >= 5
    assert timings["fast"].ratio(timings["slow"]) > 1.2
    assert Latency([1.0, 2.0, 3.0]).percentile(50) == 2.0


def test_a_model_and_its_file_are_timed_side_by_side(
    run: Run, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("benchmark", model, "--batch", 1, "--batch", 3, "--seconds", 0.1, "--json", "--out", out) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((out / "benchmark.json").read_text())
    assert report["schema_version"] == 1
    assert [(row["runtime"], row["batch"]) for row in report["rows"]] == [
        ("eager", 1), ("onnxruntime", 1), ("eager", 3), ("onnxruntime", 3),
    ]  # fmt: skip
    for row in report["rows"]:
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]
        assert row["times_faster"] == 1 or row["runtime"] == "onnxruntime"
    cold = {name.split()[-1]: numbers for name, numbers in report["cold"].items()}
    assert cold["onnxruntime"]["memory_mb"] < cold["eager"]["memory_mb"], "a process without torch is smaller"
    assert (out / "benchmark.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("words", "complaint"), [([], "no models to time"), (["missing.onnx"], "no ONNX file")])
def test_what_cannot_be_timed_is_one_line(
    run: Run, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("benchmark", *words) == 2
    assert complaint in capsys.readouterr().err


def test_doctor_says_what_is_installed_and_that_the_cpu_runs(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["environment"]["libraries"]["onnx"] == version("onnx")
    assert {"subject": "cpu", "said": "runs", "advice": ""} in report["findings"]


def test_doctor_tells_of_two_packages_that_overwrite_each_other() -> None:
    finding = doctor._runtimes(lambda package: "1.31.1")
    assert "both installed" in finding.said
    assert "pip uninstall" in finding.advice
    assert not doctor._runtimes({"onnxruntime-gpu": "1.31.1"}.get).advice
