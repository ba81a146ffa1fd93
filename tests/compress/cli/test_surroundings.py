"""What surrounds a command: a closed terminal, a full device, a strange environment, libraries that tell of it."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compress.cli import main
from compress.errors import UsageError
from compress.runs.provenance import require_same_settings
from compress.storage.run_directory import RunDirectory
from compress.storage.untrusted import require_name
from compress.training import stopping
from compress.training.parallel import Workers, first_to_fail
from compress.training.stopping import StopSignal

ROOT = Path(__file__).parent.parent.parent.parent
Run = Callable[..., int]


def test_a_closed_terminal_asks_to_stop_and_is_not_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[bool] = []
    monkeypatch.setattr(stopping, "leave_terminal", lambda: left.append(True))
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    try:
        signal_flag = StopSignal("step")
        with signal_flag:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal_flag.requested
    finally:
        signal.signal(signal.SIGHUP, before)
    assert left == [True]


def test_what_nohup_sets_aside_stays_aside() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signal_flag = StopSignal("step")
        with signal_flag:
            os.kill(os.getpid(), signal.SIGHUP)
        assert not signal_flag.requested
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("stale", [{}, {"RANK": "0"}, {"RANK": "x", "WORLD_SIZE": "2"}], ids=str)
def test_a_run_id_that_was_left_over_from_torchrun_is_no_torchrun(
    stale: dict[str, str], run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "stale")
    for name, value in stale.items():
        monkeypatch.setenv(name, value)
    assert Workers.from_environment() == Workers()
    assert first_to_fail()
    assert run("list", "nothing") == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("columns", ["0", "1", "-3", "x", ""])
def test_a_width_that_no_terminal_has_is_not_believed(
    columns: str, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert run("--help") == 0
    assert "distill" in capsys.readouterr().out


def test_output_into_a_full_device_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "stderr", said)
        with pytest.raises(SystemExit) as stopped:
            main(["list", "methods"])
        full.write = lambda _: 0
    assert stopped.value.code == 2
    assert said.getvalue().splitlines() == [
        "compress: no space left on the device while writing the output: free some and run again"
    ]


def test_a_terminal_of_ascii_shows_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii", errors="strict"))
    with pytest.raises(SystemExit) as stopped:
        main(["list", "Züge"])
    sys.stderr.flush()
    assert stopped.value.code == 2
    assert b"Z\\xfcge" in raw.getvalue()


def test_names_with_joined_emoji_are_names_and_marks_that_turn_text_are_not() -> None:
    for name in ("👨‍👩‍👧", "🏳️‍🌈 flag", "می‌خواهم", "🏴\U000e0067\U000e0062\U000e007f"):
        assert require_name(name) == name
    for name in ("a\u202eb", "\u200d", "a\x1b[2J", "", " "):
        with pytest.raises(ValueError, match="cannot be printed"):
            require_name(name)


def test_a_run_goes_on_with_the_same_teacher_from_another_place(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path)
    run.write_config({"teacher": "local-dir:/a", "teacher_weights": "/a/t.pt", "data_root": "/a/d", "seed": 1})
    require_same_settings(
        tmp_path, {"teacher": "local-dir:/b", "teacher_weights": "b.pt", "data_root": "/b", "seed": 1}
    )
    with pytest.raises(UsageError, match="teacher, seed differs"):
        require_same_settings(tmp_path, {"teacher": "resnet34", "teacher_weights": None, "data_root": None, "seed": 2})


TELLTALE = """
import os, sys
sys.path.insert(0, sys.argv[1])
import compress.export.runtime
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


@pytest.mark.parametrize("chosen", [None, "0"])
def test_onnxruntime_leaves_no_files_and_a_users_own_choice_stays(chosen: str | None, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    places = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    changed = {**kept, **places, **({"ORT_DISABLE_TELEMETRY": chosen} if chosen else {})}
    words = [sys.executable, "-c", TELLTALE, ROOT]
    done = subprocess.run(words, env=changed, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == (chosen or "1")
    if chosen is None:
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_no_command_of_these_tests_left_such_files() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert not list(Path(os.environ["XDG_CACHE_HOME"]).rglob("deviceid"))
