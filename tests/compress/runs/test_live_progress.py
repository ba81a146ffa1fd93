"""What is seen of a run while it goes on: on a terminal, in plain lines, in its files and by TensorBoard."""

import json
import math
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from compress.distillation.distiller import Distiller
from compress.methods import MethodContext, find_method
from compress.runs import events
from compress.runs.rounds import lead
from compress.settings import DistillSettings
from compress.storage.run_directory import RunDirectory
from compress.testing import FakeTask
from compress.training import progress
from compress.training.compute import Compute
from compress.training.execution import Execution
from compress.training.parallel import Workers
from compress.training.progress import Steps, clock, pause
from compress.training.random_state import seed_all

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SMALL = {
    "inversion": {"samples": 8, "steps": 1, "latent": 8, "width": 4},
    "distillation": {"rounds": 5, "warmup": 2, "steps": 3, "batch": 4},
}
SCRIPT = "import sys, pathlib, small_run; small_run.carry_out_small_run(pathlib.Path(sys.argv[1]), 12, 60, quiet=False)"

PICTURE = FakeTask(positions=False).picture


def small() -> Distiller:
    seed_all(0)
    task, settings = FakeTask(positions=False), DistillSettings.model_validate(SMALL)
    compute, randomness = Compute.choose("cpu", "fp32"), torch.Generator().manual_seed(0)
    context = MethodContext(
        task=task,
        teacher=task.teacher(),
        student=task.student(),
        settings=settings,
        mirror=True,
        execution=Execution(compute=compute, workers=Workers(), randomness=randomness),
    )
    return find_method("ssd-kd").build(context)


def rows_of(run: RunDirectory) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def on_a_terminal(*words: object, **environment: str) -> str:
    """All that Python, with these words, says on stderr where that is a terminal."""
    ours, its = pty.openpty()
    command, shown = [sys.executable, *map(str, words)], b""
    with subprocess.Popen(command, stderr=its, env={**os.environ, **environment}) as process:
        os.close(its)
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
    os.close(ours)
    assert process.returncode == 0, shown.decode()
    return shown.decode()


def test_a_terminal_shows_phase_speed_and_the_best_agreement_without_colours_if_none_are_wanted(tmp_path: Path) -> None:
    path = os.pathsep.join([str(BENCHMARKS), os.environ.get("PYTHONPATH", "")])
    shown = on_a_terminal("-c", SCRIPT, tmp_path / "run", PYTHONPATH=path, NO_COLOR="1", TERM="xterm-256color")
    assert "\x1b[1A" in shown, "it is drawn over itself"
    codes = {int(code) for codes in re.findall(r"\x1b\[([\d;]*)m", shown) for code in codes.split(";") if code}
    assert not [code for code in codes if code >= 30], "no colours"
    first, last = shown.index("warming up"), shown.rindex("distilling")
    assert first < last
    for words in (r"12/12", r"images/s: [\d.]+ made, [\d.]+ learnt from", r"agreement [\d.]+, best [\d.]+", r"kl \d"):
        assert re.search(words, shown[last:]), words


def test_plain_lines_are_few_and_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "pause", lambda spent: math.inf)
    lead(small(), RunDirectory.create(tmp_path / "few"), {"history": []}, picture=PICTURE)
    takes, line = capsys.readouterr().err.splitlines()
    assert takes.startswith("takes: about")
    assert re.match(r"distilling 5/5  \d+:\d\d spent, 0:00 left  images/s: .* made, .* learnt from  agreement ", line)
    monkeypatch.setattr(progress, "pause", lambda spent: 0.0)
    lead(small(), RunDirectory.create(tmp_path / "all"), {"history": []}, picture=PICTURE)
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("takes:")]
    phases = [line.rpartition(f" {done}/5  ")[0] for line in lines for done in range(6) if f" {done}/5  " in line]
    assert list(dict.fromkeys(phases)) == ["warming up", "inverting", "distilling"]
    assert "? left" in lines[1], "how long it takes is not known before the student learns"
    assert [line for line in lines if "distilling 3/5" in line and "step 3 of 3" in line], "within a round too"
    best = max(row["agreement"] for row in rows_of(RunDirectory(tmp_path / "all"))[2:])
    assert f"best {best:.3f}" in lines[-1]


def test_long_work_is_told_of_less_often() -> None:
    seconds = lines = 0.0
    while seconds < 24 * 3600:
        seconds, lines = seconds + pause(seconds), lines + 1
    assert 100 < lines < 500
    assert [clock(59), clock(3725)] == ["0:59", "1:02:05"]


def test_the_rest_is_judged_by_the_kind_of_work_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    steps = Steps("teaching", 30)
    now[0] = 10.0
    steps.update(10)
    assert steps.left() == "0:20"
    steps.restart(10)
    assert steps.left() == "?"
    now[0] = 40.0
    steps.update(10.5)
    assert steps.left() == "19:30"


class Killed(Exception):
    """What comes between two rounds."""


def killed_and_resumed(run: RunDirectory, monkeypatch: pytest.MonkeyPatch, *, tensorboard: bool) -> list[int]:
    """A run whose process ends after four rounds, without a checkpoint of them, goes on from the start.

    Returns how many rounds metrics.jsonl told of whenever a round was done.
    """
    log, told = RunDirectory.log, []

    def watched(self: RunDirectory, line: str) -> None:
        log(self, line)
        told.append(len(rows_of(run)))
        if len(told) == 4:
            raise Killed

    monkeypatch.setattr(RunDirectory, "log", watched)
    with pytest.raises(Killed):
        lead(small(), run, {"history": []}, tensorboard=tensorboard, picture=PICTURE)
    resumed, state = small(), run.read_checkpoint()
    resumed.load_state_dict(state)
    lead(resumed, run, {"history": state["history"]}, tensorboard=tensorboard, picture=PICTURE)
    return told


def test_the_numbers_of_a_round_are_there_at_once_and_once_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory.create(tmp_path)
    assert killed_and_resumed(run, monkeypatch, tensorboard=False) == [1, 2, 3, 4, 1, 2, 3, 4, 5]
    assert [row["round"] for row in rows_of(run)] == [0, 1, 2, 3, 4]
    assert not run.events.exists()


def test_tensorboard_finds_the_same_numbers_and_the_pictures_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory.create(tmp_path)
    killed_and_resumed(run, monkeypatch, tensorboard=True)
    recorded_events = EventAccumulator(str(run.events)).Reload()
    rows = rows_of(run)
    names = {name for row in rows for name in row} - {"round"}
    assert set(recorded_events.Tags()["scalars"]) == names
    for name in names:
        expected = {row["round"]: row[name] for row in rows if name in row}
        events_of = recorded_events.Scalars(name)
        assert [event.step for event in events_of] == list(expected)
        assert [event.value for event in events_of] == pytest.approx(list(expected.values()))
    assert [event.step for event in recorded_events.Images("samples")] == [0, 1, 2, 4]


def test_without_tensorboard_it_is_said_how_to_get_it(
    run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(events, "find_spec", lambda name: None)
    assert run("distill", "--tensorboard") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "compress: --tensorboard needs TensorBoard, which is not installed: pip install tensorboard"
