"""Runs that are killed, resumed with something else, and begun with given weights."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from compress.errors import UsageError
from compress.methods import MethodContext
from compress.runs.distill import RunOptions, carry_out
from compress.runs.evaluation import Score
from compress.runs.handover import model_card
from compress.runs.provenance import begin_with
from compress.settings import DistillSettings
from compress.storage.lock import exclusive
from compress.task import Batch
from compress.tasks.models import create_model
from compress.tasks.models.model_folder import save_model
from compress.testing import FakeTask
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers

ROOT = Path(__file__).parents[3]
SMALL = {
    "inversion": {"samples": 4, "steps": 1, "latent": 8, "width": 4},
    "distillation": {"rounds": 1, "warmup": 0, "steps": 1, "batch": 4},
}
BENCHMARKS = ROOT / "tests" / "benchmarks"


def test_a_run_that_is_killed_anywhere_and_resumed_ends_with_the_same_student() -> None:
    words = [sys.executable, BENCHMARKS / "kills.py", "--kills", "2", "--rounds", "8"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert "2 of 2 students are the same to the last byte, 0 temporary files were left" in done.stdout, done.stderr
    assert done.returncode == 0


class SomeTask(FakeTask):
    """Its held-out images are all of one grey, which is up to the test; there is nothing to score on them."""

    grey = 0.5

    def batches(self) -> Iterator[Batch]:
        yield Batch(torch.full((0, *self.spec.image_shape), self.grey), torch.zeros(0, dtype=torch.long))


def ingredients(teacher: nn.Module | None = None) -> MethodContext:
    task, randomness = SomeTask(positions=False), torch.Generator().manual_seed(0)
    settings, compute = DistillSettings.model_validate(SMALL), Compute.choose("cpu", "fp32")
    return MethodContext(
        task=task,
        teacher=teacher or task.teacher(),
        student=task.student(),
        settings=settings,
        mirror=True,
        execution=Execution(compute=compute, workers=Workers(), randomness=randomness),
    )


def test_a_run_is_resumed_with_the_teacher_it_began_with_only(tmp_path: Path) -> None:
    carry_out(ingredients(), SomeTask(positions=False), tmp_path, RunOptions())
    carry_out(ingredients(), SomeTask(positions=False), tmp_path, RunOptions(resume=True))
    other = FakeTask(positions=False).teacher()
    other[0].bias.data[0] += 1
    with pytest.raises(UsageError, match=r"the teacher's weights differ from what the run in .* began with"):
        carry_out(ingredients(other), SomeTask(positions=False), tmp_path, RunOptions(resume=True))


def test_a_run_that_another_process_writes_is_left_alone(run, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    carry_out(ingredients(), SomeTask(positions=False), tmp_path, RunOptions())
    before, _ = sorted(tmp_path.rglob("*")), capsys.readouterr()
    with exclusive(tmp_path):
        assert run("distill", "--out", tmp_path, "--overwrite") == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "is in use by process" in said[0]
    assert [path for path in sorted(tmp_path.rglob("*")) if not path.name.startswith(".lock")] == before


def test_a_student_begins_with_given_weights(tmp_path: Path, run, capsys: pytest.CaptureFixture) -> None:
    given, other, student = (create_model("classification", "cifar_wrn_16_1", 10) for _ in range(3))
    save_model(tmp_path / "student", given, None, "")
    digests = {begin_with(student, path) for path in (tmp_path, tmp_path / "student", *tmp_path.rglob("*.safetensors"))}
    assert len(digests) == 1
    pairs = zip(given.state_dict().values(), student.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(next(other.parameters()), next(student.parameters()))
    words = ["distill", "--student", "cifar_resnet20", "--init-from", tmp_path]
    assert run(*words, "--dry-run") == 2
    assert "does not fit the network" in capsys.readouterr().err
    assert run(*words, "--resume") == 2
    assert "--init-from begins with another: pass one" in capsys.readouterr().err


def test_what_a_student_began_with_is_said_of_it() -> None:
    score, network = Score(metric="top1", numbers={"top1": 0.5}, count=10), FakeTask(positions=False).student()
    said = model_card(DistillSettings(student="x"), score, score, "data", network, None, "1234")
    assert "without any real image, from weights that it was given (SHA-256 1234)" in said
