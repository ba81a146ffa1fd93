"""`torchrun -m compress distill`: several processes, one run."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compress.training.parallel import Workers

SMALL = ["--inversion.samples", 16, "--inversion.steps", 2, "--inversion.width", 8, "--distillation.warmup", 1]
SMALL += ["--distillation.rounds", 4, "--distillation.steps", 3, "--distillation.batch", 8]
SMALL += ["--precision", "fp32", "--device", "cpu", "--accept-any-student"]
CLASSIFIER = ["--teacher", "cifar_resnet20", "--student", "cifar_wrn_16_1"]
Torchrun = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def torchrun(tmp_path: Path) -> Torchrun:
    """Runs `torchrun --nproc-per-node 2 -m compress ARGUMENTS...` in an empty directory."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "compress"]
        command = [sys.executable, *words, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)

    return run


def test_two_workers_leave_one_run(torchrun, classifier_weights: Path, tmp_path: Path) -> None:
    done = torchrun("distill", *CLASSIFIER, "--teacher-weights", classifier_weights, *SMALL)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["digits-fast-dfkd-1"]
    run = tmp_path / "runs" / "digits-fast-dfkd-1"
    for name in ("config.yaml", "checkpoints/last/state.pt", "student/model.safetensors", "export/model.onnx"):
        assert (run / name).is_file(), name
    assert not list(run.rglob("*.part"))
    assert [json.loads(line)["round"] for line in (run / "metrics.jsonl").read_text().splitlines()] == [0, 1, 2, 3]
    assert len((run / "train.log").read_text().splitlines()) == 4
    assert json.loads((run / "environment.json").read_text())["workers"] == 2
    report = json.loads((run / "report.json").read_text())
    assert all(check["passed"] for check in report["parity"])
    assert done.stdout.count("run directory") == 1
    assert done.stderr.count("teacher: top1") == 1


def test_an_error_is_said_once(torchrun, tmp_path: Path) -> None:
    done = torchrun("distill", "--distillation.batch", 7)
    said = [line for line in done.stderr.splitlines() if line.startswith("compress:")]
    assert said == [
        "compress: distillation.batch 7 is not divisible by the number of workers, 2: use 8 or another --nproc-per-node"
    ]
    assert "exitcode  : 2" in done.stderr, "torchrun reports our exit code and has 1 itself"
    assert not list(tmp_path.iterdir())


def test_a_method_of_one_process_is_refused_in_several(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Workers, "from_environment", lambda: Workers(size=2))
    assert run("distill", "--method", "cmi") == 2
    complaint = "cmi runs in one process only: leave out torchrun or use --method fast-dfkd"
    assert complaint in capsys.readouterr().err
