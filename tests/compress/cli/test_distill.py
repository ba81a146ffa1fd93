"""The main job at reduced size, as a user runs it."""

import json
import os
import signal
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from few_scenes import score_on_few_scenes
from reduced_export import reduce_exports
from safetensors.torch import load_file

from compress.export import OnnxModel
from compress.tasks.models.model_folder import load_model

Run = Callable[..., int]

SMALL = ["--inversion.samples", 16, "--inversion.steps", 2, "--inversion.width", 8, "--distillation.warmup", 1]
SMALL += ["--distillation.steps", 3, "--distillation.batch", 8, "--precision", "fp32", "--accept-any-student"]
ROUNDS = ["--distillation.rounds", 4]
CLASSIFIER = ["--teacher", "cifar_resnet20", "--student", "cifar_wrn_16_1"]
SEGMENTER = ["--task", "segmentation", "--teacher", "deeplabv3", "--student", "linknet:tu-test_resnet"]


@pytest.fixture(params=["classification", "segmentation"])
def arguments(request: pytest.FixtureRequest) -> list[object]:
    """Flags of a small run of either task."""
    if request.param == "segmentation":
        return ["distill", *SEGMENTER, *SMALL, *ROUNDS]
    weights = request.getfixturevalue("classifier_weights")
    return ["distill", *CLASSIFIER, "--teacher-weights", weights, *SMALL, *ROUNDS]


def test_a_run_leaves_everything_it_promises(
    run: Run,
    arguments: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reduce_exports(monkeypatch)
    score_on_few_scenes(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert run(*arguments, "--out", "run") == 0
    said, folder = "".join(capsys.readouterr()), tmp_path / "run"
    for name in ("config.yaml", "environment.json", "metrics.jsonl", "metrics.csv", "train.log", "report.json",
                 "checkpoints/last/state.pt", "student/config.json", "student/model.safetensors", "student/README.md",
                 "export/model.onnx", "report.html", "held-out/01.png"):  # fmt: skip
        assert (folder / name).is_file(), name
    assert len(list((folder / "samples").glob("*.png"))) >= 2
    assert not list(folder.rglob("*.part"))
    report = json.loads((folder / "report.json").read_text())
    for word in ("teacher", "student", "kept", "parameters", "MACs", "MB", "export/model.onnx", "held-out"):
        assert word in said
    assert all(check["passed"] for check in report["parity"])
    assert 0 < report["kept"] < 1.5
    scores = []
    for path in ("run", "run/student", "run/export/model.onnx"):
        assert run("evaluate", path, "--json") == 0
        scores.append(json.loads(capsys.readouterr().out))
    metric = "top1" if report["task"] == "classification" else "miou"
    assert scores[0] == scores[1]
    assert scores[0][metric] == pytest.approx(report["student"][metric], abs=0.005)
    assert scores[2][metric] == pytest.approx(scores[0][metric], abs=0.005)
    assert scores[0]["schema_version"] == 1
    assert run("export", "run", "--out", "again.onnx") == 0
    assert "FAILED" not in capsys.readouterr().out
    assert (tmp_path / "again.onnx").read_bytes() == (folder / "export" / "model.onnx").read_bytes()
    origin = OnnxModel(tmp_path / "again.onnx").card.origin
    assert origin["method"] == "fast-dfkd"
    assert origin["metrics"][metric] == report["student"][metric]
    assert origin["config_sha256"] == sha256((folder / "config.yaml").read_bytes()).hexdigest()


def test_an_interrupted_run_resumes_in_another_process_to_the_same_student_and_file(
    compress, classifier_weights: Path, tmp_path: Path
) -> None:
    words = ["distill", *CLASSIFIER, "--teacher-weights", classifier_weights, *SMALL, "--distillation.rounds", 15]
    done = compress(*words, "--out", "whole")
    assert done.returncode == 0, done.stderr
    assert "export/model.onnx" in done.stdout
    log = tmp_path / "stopped" / "train.log"

    def interrupt(process: int) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end and not (log.is_file() and len(log.read_text().splitlines()) >= 2):
            time.sleep(0.05)
        os.kill(process, signal.SIGINT)

    interrupted = compress(*words, "--out", "stopped", meanwhile=interrupt)
    assert interrupted.returncode == 130, interrupted.stderr
    assert "--resume" in interrupted.stderr
    assert not (tmp_path / "stopped" / "student").exists()
    changed = compress(*words, "--out", "stopped", "--resume", "--seed", 9)
    assert changed.returncode == 2
    assert "seed differs" in changed.stderr
    resumed = compress(*words, "--out", "stopped", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    whole, stopped = (tmp_path / name for name in ("whole", "stopped"))
    students = [load_file(run / "student" / "model.safetensors") for run in (whole, stopped)]
    assert all(torch.equal(students[0][key], students[1][key]) for key in students[0])
    for name in ("student/model.safetensors", "export/model.onnx"):
        assert (whole / name).read_bytes() == (stopped / name).read_bytes(), name
    assert len((stopped / "metrics.jsonl").read_text().splitlines()) == 15


def test_the_student_never_sees_a_real_image(
    classifier_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduce_exports(monkeypatch)
    from dataclasses import replace

    from compress.cli.distill import distill
    from compress.settings import DistillSettings
    from compress.tasks import data

    def forbidden() -> data.LabelledImages:
        raise AssertionError("the training split was opened")

    opened = []

    def held_out() -> data.LabelledImages:
        opened.append(True)
        return real.held_out()

    real = data.open_data("digits", "classification")
    watched_source = replace(real, training=forbidden, held_out=held_out)
    listing = replace(data.SOURCES["digits"], open=lambda place: watched_source)
    monkeypatch.setitem(data.SOURCES, "digits", listing)
    during = []
    from compress.distillation.distiller import Distiller
    from compress.distillation.round import Round
    from compress.training.stopping import StopSignal

    run_loop = Distiller.run

    def watched(
        self: Distiller, after_round: Callable[[Round], None], stopping: StopSignal, moved: Callable[[], None]
    ) -> None:
        before = len(opened)
        run_loop(self, after_round, stopping, moved)
        during.append(len(opened) - before)

    monkeypatch.setattr(Distiller, "run", watched)
    settings = DistillSettings.model_validate(
        {
            "teacher": "cifar_resnet20",
            "student": "cifar_wrn_16_1",
            "teacher_weights": classifier_weights,
            "inversion": {"samples": 8, "steps": 1, "width": 8},
            "distillation": {"rounds": 2, "warmup": 1, "steps": 1, "batch": 4},
        }
    )
    distill(settings=settings, out=tmp_path / "run", accept_any_student=True)
    assert during == [0], "held-out images are for evaluation, before and after the loop"
    assert opened
    assert load_model(tmp_path / "run")[1].network == "cifar_wrn_16_1"


def test_a_teacher_that_guesses_is_refused(compress, tmp_path: Path) -> None:
    from compress.tasks.models import create_model

    torch.save(create_model("classification", "cifar_resnet20", 10).network.state_dict(), tmp_path / "random.pt")
    done = compress(
        "distill", *CLASSIFIER, "--data", "digits", "--teacher-weights", "random.pt", *SMALL, *ROUNDS, "--out", "run"
    )
    assert done.returncode == 2
    assert "the teacher is not better than chance" in done.stderr
    assert not (tmp_path / "run").exists()
