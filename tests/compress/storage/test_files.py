"""Files appear whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from compress.errors import UsageError, unknown_name
from compress.storage.files import digest, require_space, sweep, whole_file, write_text
from compress.storage.lock import exclusive
from compress.storage.run_directory import RunDirectory, latest, next_free


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "old")

    def fail() -> None:
        with whole_file(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    def fill() -> None:
        with whole_file(tmp_path / "file.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UsageError, match="no space left"):
        fill()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("behind", [RuntimeError("unexpected pos 704 vs 598"), None], ids=["torch's", "its own"])
def test_a_checkpoint_that_finds_the_disk_full_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: Exception | None
) -> None:
    run, save = RunDirectory.create(tmp_path), torch.save
    run.write_checkpoint({"round": 1})

    def half(state: object, file: object) -> None:
        save(state, file)
        full = OSError(errno.ENOSPC, "No space left on device")
        raise behind or full from full

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(UsageError, match=r"no space left .*state\.pt"):
        run.write_checkpoint({"round": 2})
    assert run.read_checkpoint() == {"round": 1}
    assert [path.name for path in run.checkpoint.parent.iterdir()] == ["state.pt"]


def test_what_a_killed_process_left_half_written_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    keep = [tmp_path / name for name in ("a.part", ".state.pt.part", ".mine.compress-notes.part", "state.pt")]
    for path in keep:
        path.write_text("mine")
    script = "import os, pathlib, sys; from compress.storage.files import whole_file as whole\n"
    script += "with whole(pathlib.Path(sys.argv[1])):"
    subprocess.run([sys.executable, "-c", script + " os._exit(9)", str(tmp_path / "deep" / "state.pt")], check=False)
    assert len(list((tmp_path / "deep").iterdir())) == 1
    sweep(tmp_path)
    assert not list((tmp_path / "deep").iterdir())
    assert sorted(path for path in tmp_path.iterdir() if path.is_file()) == sorted(keep)


def test_a_folder_is_one_process_s_until_it_ends_however_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    script = "import pathlib, sys, time; from compress.storage.lock import exclusive\n"
    script += "with exclusive(pathlib.Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"in\n"
        with pytest.raises(UsageError, match=f"in use by process {process.pid}"), exclusive(folder):
            pass
        os.kill(process.pid, signal.SIGKILL)
    RunDirectory.check(folder)  # the traces of a lock are no run
    with exclusive(folder):
        assert (folder / ".lock-holder").read_text() == str(os.getpid())
        RunDirectory.create(folder)
        with pytest.raises(UsageError, match="in use"), exclusive(folder):
            pass


def test_a_new_folder_into_which_nothing_was_put_is_taken_away_and_an_old_one_is_not(tmp_path: Path) -> None:
    with exclusive(tmp_path / "new"), exclusive(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", ".lock-holder"]


def test_too_little_space_is_found_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not enough space"):
        require_space(tmp_path / "new", 10**18)


def test_digests_tell_parts_apart() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab", b"c") == digest(b"ab", "c")


def test_a_run_directory_refuses_what_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        RunDirectory.check(tmp_path)
    with pytest.raises(UsageError, match="is not a run of compress"):
        RunDirectory.check(tmp_path, overwrite=True)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_runs_are_numbered(tmp_path: Path) -> None:
    assert next_free(tmp_path, "digits-ssd-kd").name == "digits-ssd-kd-1"
    for number in (1, 2, 10):
        (tmp_path / f"digits-ssd-kd-{number}").mkdir()
    assert next_free(tmp_path, "digits-ssd-kd").name == "digits-ssd-kd-11"
    assert latest(tmp_path, "digits-ssd-kd").name == "digits-ssd-kd-10"


def test_unknown_names_come_with_the_nearest_known_one() -> None:
    assert "did you mean 'ssd-kd'" in str(unknown_name("method", "sdd-kd", ["ssd-kd", "fast-dfkd"]))
    assert "known: fast-dfkd, ssd-kd" in str(unknown_name("method", "xyzzy", ["ssd-kd", "fast-dfkd"]))
