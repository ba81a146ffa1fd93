"""What is not ours stays: only marked folders are written over, and only names that we write are deleted in them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compress.errors import UsageError
from compress.storage import marker
from compress.storage.files import require_replaceable, sweep, whole_file, whole_folder, write_text
from compress.storage.marker import FORMAT, MARKER, clear, kind_of, mark
from compress.storage.run_directory import WRITTEN, RunDirectory
from compress.storage.settings_files import load_config


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_a_project_that_holds_a_config_yaml_is_not_overwritten(tmp_path: Path) -> None:
    put(tmp_path, "config.yaml", ".git/HEAD", "src/main.py", "report.json")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r"is not a run of compress: it carries no mark.*choose another `out`"):
        RunDirectory.check(tmp_path, overwrite=True)
    assert contents(tmp_path) == before


def test_a_folder_of_another_kind_is_not_overwritten_by_a_run(tmp_path: Path) -> None:
    mark(tmp_path, "model")
    put(tmp_path, "config.json")
    with pytest.raises(UsageError, match="is not a run of compress"):
        RunDirectory.check(tmp_path, overwrite=True)


def test_a_run_that_is_replaced_loses_its_own_files_only(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path)
    own = [name.replace("[0-9]*", "01").replace("*", "0001") for name in WRITTEN]
    foreign = ["notes.txt", ".git/HEAD", "samples/mine.png", "export/mine.onnx", "student/mine.txt", "figure.png"]
    put(run.path, *own, *foreign)
    RunDirectory.check(tmp_path, overwrite=True)
    RunDirectory.create(tmp_path)
    assert sorted(contents(tmp_path)) == sorted([*foreign, MARKER])
    assert not (tmp_path / "checkpoints").exists(), "what became empty goes too"


def test_nothing_is_deleted_through_a_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    put(elsewhere, "round-0001.png")
    run = RunDirectory.create(tmp_path / "run")
    (run.path / "samples").symlink_to(elsewhere)
    (run.path / "train.log").symlink_to(elsewhere / "round-0001.png")
    clear(run.path, WRITTEN)
    assert (elsewhere / "round-0001.png").is_file()
    assert not (run.path / "train.log").is_symlink()


def test_a_run_that_is_killed_while_it_replaces_another_can_be_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("config.yaml", "report.json", "train.log", "checkpoints/last/state.pt", "notes.txt")
    for killed_at in range(5):
        folder = tmp_path / str(killed_at)
        put(RunDirectory.create(folder).path, *names)
        left, unlink = [killed_at], Path.unlink

        def dying(path: Path, missing_ok: bool = False, left: list[int] = left, unlink=unlink) -> None:
            if path.suffix != ".part":
                if not left[0]:
                    raise KeyboardInterrupt
                left[0] -= 1
            unlink(path, missing_ok)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", dying)
            if killed_at < 4:
                with pytest.raises(KeyboardInterrupt):
                    RunDirectory.create(folder)
        RunDirectory.check(folder, overwrite=True)
        RunDirectory.create(folder)
        assert sorted(contents(folder)) == [MARKER, "notes.txt"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (json.dumps({"kind": "run", "format": FORMAT + 1}), "has the format 2, this version of compress reads 1"),
        (json.dumps({"kind": "run", "format": "1"}), "is broken"),
        (json.dumps({"kind": "run", "format": True}), "is broken"),
        ("[]", "is broken"),
        ("{", "is broken"),
    ],
)
def test_a_mark_of_a_later_format_or_a_broken_one_is_refused_in_one_line(
    text: str, complaint: str, tmp_path: Path
) -> None:
    put(tmp_path, "config.yaml")
    (tmp_path / MARKER).write_text(text)
    for use in (RunDirectory.open, lambda path: RunDirectory.check(path, overwrite=True), kind_of):
        with pytest.raises(UsageError, match=complaint):
            use(tmp_path)


def test_a_run_without_a_mark_as_version_0_1_0_left_it_is_read_and_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    assert RunDirectory.open(tmp_path).path == tmp_path
    with pytest.raises(UsageError, match=r"What version 0\.1\.0 wrote carries none"):
        RunDirectory.check(tmp_path, overwrite=True)


def test_a_settings_file_says_its_format_and_one_of_today_or_without_any_is_read(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path)
    run.write_config({"seed": 3})
    assert f"format: {FORMAT}\n" in (tmp_path / "config.yaml").read_text()
    assert load_config(str(tmp_path / "config.yaml")) == {"seed": 3}
    for text, complaint in (("format: 2\n", "has the format 2"), ("format: one\n", "says the format 'one'")):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(UsageError, match=complaint):
            load_config(str(tmp_path / "config.yaml"))


def test_a_file_is_replaced_if_it_is_ours_or_if_that_is_asked_for_and_nothing_else_ever(tmp_path: Path) -> None:
    file, link, pipe = tmp_path / "notes.txt", tmp_path / "link", tmp_path / "pipe"
    file.write_text("mine")
    link.symlink_to(file)
    os.mkfifo(pipe)
    require_replaceable(tmp_path / "new", lambda _: False, overwrite=False)
    require_replaceable(file, lambda _: True, overwrite=False)
    require_replaceable(file, lambda _: False, overwrite=True)
    with pytest.raises(UsageError, match="compress did not write it"):
        require_replaceable(file, lambda _: False, overwrite=False)
    for other in (link, pipe, tmp_path, Path(os.devnull), tmp_path / "dangling"):
        if other.name == "dangling":
            other.symlink_to(tmp_path / "nowhere")
        with pytest.raises(UsageError, match="will not be written over"):
            require_replaceable(other, lambda _: True, overwrite=True)


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from compress.storage.files import whole_file, whole_folder
with whole_file(Path(sys.argv[1], "model.onnx")) as file, whole_folder(Path(sys.argv[1], "answers")) as folder:
    file.write_text("half"), (folder / "a.png").write_text("half")
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    root = Path(marker.__file__).parent.parent.parent
    subprocess.run([sys.executable, "-c", KILLED, tmp_path, root], check=False, timeout=60)
    assert len(list(tmp_path.iterdir())) == 2
    write_text(tmp_path / "other.txt", "a name of its own sweeps what was left of that name only")
    assert len(list(tmp_path.iterdir())) == 3
    with whole_file(tmp_path / "model.onnx") as living, whole_folder(tmp_path / "answers") as folder:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([living.name, folder.name, "other.txt"])
        sweep(tmp_path)
        living.write_text("whole")
        assert folder.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "other.txt"]
