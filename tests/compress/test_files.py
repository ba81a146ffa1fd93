"""Files appear whole or not at all."""

import errno
from pathlib import Path

import pytest

from compress.errors import UsageError, unknown_name
from compress.files import digest, require_space, whole_file, write_text
from compress.run_directory import RunDirectory, latest, next_free


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
