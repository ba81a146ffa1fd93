"""The README's commands run, at reduced size, and name what exists."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from compress.cli import main
from compress.export import export_verified
from compress.runs import without_data
from compress.task import TaskSpec

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
REDUCED = (
    "--inversion.samples 8 --inversion.steps 1 --distillation.rounds 2 --distillation.warmup 1 --distillation.steps 1"
    " --accept-any-student"
)
OWN_MODULES = """
from pathlib import Path
from compress.tasks.data import open_data
from compress.tasks.models import create_model, fit_weights, read_weights
teacher, student = (create_model("classification", "cifar_resnet20", 10).network for _ in range(2))
fit_weights(teacher, read_weights(Path({weights!r})), "weights")
held_out = open_data("digits", "classification").held_out()
images, labels = held_out.images, held_out.targets
"""
COMMANDS = [
    command.strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    for command in line.split("#")[0].split("&&")
    if command.strip().startswith("compress ")
]

PYTHON = re.findall(r"```python\n(.*?)```", README + (ROOT / "docs" / "export.md").read_text(), re.DOTALL)


def test_the_first_two_commands_install_and_run_the_main_job_and_the_tests() -> None:
    first, second = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[:2]
    assert "pip install" in first
    assert "compress distill --task segmentation --teacher deeplabv3" in first
    assert "pip install" in second
    assert "pytest" in second


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("compress distill")])
def test_every_distill_command_is_valid(command: str, compress) -> None:
    done = compress(*(word for word in shlex.split(command)[1:] if word != "--dry-run"), "--dry-run")
    assert done.returncode == 0, done.stderr


def succeed(command: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(shlex.split(command)[1:])
    assert stopped.value.code == 0, command


def test_the_main_job_of_the_readme_runs_at_reduced_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(without_data, "IMAGES", 16)
    job = next(c for c in COMMANDS if c.startswith("compress distill --task segmentation --teacher deeplabv3"))
    succeed(f"{job} {REDUCED}")
    for command in (c for c in COMMANDS if c.startswith(("compress evaluate", "compress export"))):
        succeed(re.sub(r"runs/[\w-]+", "runs/digit-scenes-ssd-kd-1", command))


def test_every_list_command_runs(compress) -> None:
    for command in (c for c in COMMANDS if c.startswith("compress list")):
        assert compress(*shlex.split(command)[1:]).returncode == 0


def test_the_python_lines_run_at_reduced_size(classifier_weights: Path, tmp_path: Path) -> None:
    code = PYTHON[0]
    reduced = """settings = DistillSettings.model_validate({
        "precision": "fp32", "inversion": {"samples": 8, "steps": 1},
        "distillation": DistillationSettings(rounds=2, warmup=1, steps=1, batch=8)})"""
    code, found = re.subn(r"^settings = .*", reduced, code, flags=re.MULTILINE)
    assert len(code.splitlines()) - 2 <= 10
    assert found == 1
    (tmp_path / "mine.py").write_text(OWN_MODULES.format(weights=str(classifier_weights)))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "runs/own-ssd-kd-1/export/model.onnx" in done.stdout
    assert (tmp_path / "runs" / "own-ssd-kd-1" / "student" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    "code", PYTHON[1:], ids=["README: with OnnxModel", "export.md: with OnnxModel", "export.md: with onnxruntime alone"]
)
def test_the_lines_that_run_a_file_run_and_are_few(code: str, tmp_path: Path) -> None:
    network = torch.nn.Conv2d(3, 2, 1)
    network.stride = 1
    spec = TaskSpec("segmentation", (3, 96, 96), ("road", "sky"), "miou", palette=((0, 0, 0), (9, 9, 9)))
    export_verified(network, spec, tmp_path / "model.onnx")
    Image.effect_noise((120, 90), 50).convert("RGB").save(tmp_path / "street.jpg")
    assert len(code.splitlines()) <= 11
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "road" in done.stdout or "sky" in done.stdout
