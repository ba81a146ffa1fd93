"""Names, help, dry runs and bad input on the command line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from compress.cli import names
from compress.training.progress import console

HEAVY = ("torch", "timm", "segmentation_models_pytorch", "onnx", "onnxruntime", "numpy", "sklearn")
Printed = Callable[..., str]


@pytest.fixture
def printed(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Printed:
    """What a command that succeeds prints on stdout, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> str:
        assert run(*words) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return call


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['compress', '--help']\n"
        "from compress.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "distill" in done.stdout


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("methods", "ssd-kd"),
        ("data", "digit-scenes"),
        ("configs", "digits/ssd-kd"),
        ("teachers", "cifar_resnet56"),
        ("students", "deeplabv3plus"),
    ],
)
def test_list_prints_every_name(printed: Printed, kind: str, expected: str) -> None:
    assert expected in printed("list", kind)


def test_a_dry_run_prints_the_settings_and_writes_nothing(printed: Printed, tmp_path: Path) -> None:
    first = printed("distill", "--dry-run", "--replay.capacity", 77, "--distillation.lr", "1e-3")
    settings = yaml.safe_load(first)
    assert settings["replay"]["capacity"] == 77
    assert settings["distillation"]["lr"] == 1e-3
    assert settings["student"]
    assert settings["inversion"]["targets"] == "balanced"
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine.yaml").write_text(first)
    assert printed("distill", "--dry-run", "--config", "mine.yaml") == first


def test_flags_win_over_the_file_and_the_file_over_the_recipe(printed: Printed, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("distillation:\n  steps: 7\n  batch: 9\n")
    flags = ("--config", "mine.yaml", "--distillation.batch", 11)
    settings = yaml.safe_load(printed("distill", "--dry-run", *flags))["distillation"]
    recipe = yaml.safe_load(printed("distill", "--dry-run"))["distillation"]
    assert (settings["steps"], settings["batch"]) == (7, 11)
    assert settings["optimizer"] == recipe["optimizer"]


def bad_inputs(folder: Path) -> dict[str, tuple[list[str], str]]:
    (folder / "garbage.pt").write_bytes(b"garbage")
    (folder / "twice.yaml").write_text("seed: 1\nseed: 2\n")
    (folder / "unknown.yaml").write_text("replay:\n  capcity: 1\n")
    (folder / "full").mkdir()
    (folder / "full" / "file").write_text("x")
    segmentation = ["distill", "--task", "segmentation"]
    return {
        "task": (["distill", "--task", "segmentaton"], "segmentation"),
        "command": (["distil"], "distill"),
        "flag": (["distill", "--replay.capcity", "3"], "--replay.capacity"),
        "teacher": (["distill", "--teacher", "resnet43"], "did you mean 'resnet"),
        "segmenter": ([*segmentation, "--teacher", "deeplabv4"], "did you mean 'deeplabv3'"),
        "student": (["distill", "--student", "cifar_resnet21"], "did you mean 'cifar_resnet"),
        "method": (["distill", "--method", "ssdkd"], "did you mean 'ssd-kd'"),
        "data": (["distill", "--data", "digit"], "did you mean 'digits'"),
        "data of the other task": (["distill", "--data", "digit-scenes"], "is for segmentation"),
        "targets of the other task": (["distill", "--inversion.targets", "blobs"], "balanced, independent, answers"),
        "missing weights": (["distill", "--teacher-weights", "none.pt"], "no weights file none.pt"),
        "broken weights": (["distill", "--teacher-weights", "garbage.pt"], "cannot read weights from garbage.pt"),
        "duplicate key": (["distill", "--config", "twice.yaml"], "duplicate key 'seed'"),
        "unknown key": (["distill", "--config", "unknown.yaml"], "did you mean 'replay.capacity'"),
        "settings of another method": (["distill", "--method", "fast-dfkd", "--replay.gamma", "1"], "takes no replay"),
        "setting of another method": (["distill", "--method", "dafl", "--inversion.bn", "1"], "takes no inversion.bn"),
        "missing config": (["distill", "--config", "digits/ssdkd"], "did you mean 'digits/ssd-kd'"),
        "negative steps": (["distill", "--distillation.steps", "-1"], "distillation.steps"),
        "image size": (["distill", "--student", "inception_v3"], "cannot take 32x32 images"),
        "full folder": (["distill", "--out", "full"], "is not empty"),
        "contradiction": (["distill", "--resume", "--overwrite", "--out", "full"], "pass one of them"),
        "nothing to resume": (["distill", "--resume"], "nothing to resume"),
        "no model": (["evaluate", "nowhere"], "no model at nowhere"),
        "no cuda": (["distill", "--device", "cuda", "--dry-run"], "no usable CUDA"),
    }


@pytest.mark.parametrize("case", [
    "task", "command", "flag", "teacher", "segmenter", "student", "method", "data", "data of the other task",
    "missing weights", "broken weights", "duplicate key", "unknown key", "settings of another method",
    "setting of another method", "missing config", "negative steps", "targets of the other task",
    "image size", "full folder", "contradiction", "nothing to resume", "no model", "no cuda",
])  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2_and_leaves_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from compress.cli import main

    if case == "no cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    words, expected = bad_inputs(tmp_path)[case]
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(words)
    errors = capsys.readouterr().err
    assert stopped.value.code == 2, errors
    assert expected in errors
    assert len(errors.strip().splitlines()) == 1, errors
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("deed", "code", "cleared"),
    [("signal.raise_signal(signal.SIGTERM)", 130, False), ("raise UsageError('no')", 2, True)],
    ids=["SIGTERM", "an error"],
)
def test_what_is_interrupted_is_gone_at_once(deed: str, code: int, cleared: bool) -> None:
    lines = (
        "import atexit, signal, compress.cli as line",
        "from compress.__main__ import run",
        "from compress.errors import UsageError",
        f"def app(*words, **options): {deed}",
        "atexit.register(print, 'cleared')",
        "line.app = app",
        "run()",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert (done.stdout == "cleared\n") is cleared
    assert done.stderr == ("compress: no\n" if cleared else "compress: interrupted\n")


def test_notes_show_flags_on_the_command_line_and_settings_elsewhere(
    run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def noted() -> list[str]:
        console.print("`teacher_key` chooses another", soft_wrap=True)
        return []

    monkeypatch.setattr(names, "_data", noted)
    assert run("list", "data") == 0
    noted()
    assert capsys.readouterr().err.splitlines() == ["--teacher-key chooses another", "`teacher_key` chooses another"]
