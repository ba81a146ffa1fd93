"""The numbers of a run can be read at any time, and cost a round no more in a long run than in a short one."""

import csv
import json
import resource
from pathlib import Path

import pytest

from compress.errors import UsageError
from compress.storage import history
from compress.storage.files import append_text
from compress.storage.history import History

WARMING, LEARNING = {"round": 0, "bn": 2.5}, {"round": 1, "bn": 1.5, "kl": 0.5}


def on_disk(folder: Path) -> tuple[list[dict[str, float]], list[dict[str, str]]]:
    """What both files hold; every line has to be whole."""
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    assert all(line.endswith("\n") for line in lines)
    with (folder / "metrics.csv").open(newline="") as table:
        return [json.loads(line) for line in lines], list(csv.DictReader(table))


def test_a_round_is_in_both_files_as_soon_as_it_is_done(tmp_path: Path) -> None:
    rounds = History(tmp_path, [])
    assert on_disk(tmp_path) == ([], [])
    for count, row in enumerate((WARMING, LEARNING, {**LEARNING, "round": 2}), start=1):
        rounds.add(row)
        lines, table = on_disk(tmp_path)
        assert lines == rounds.rows
        assert [int(cells["round"]) for cells in table] == list(range(count))
    assert table[0] == {"round": "0", "bn": "2.5", "kl": ""}
    assert table[2] == {"round": "2", "bn": "1.5", "kl": "0.5"}


def test_rounds_after_the_checkpoint_that_a_run_goes_on_from_are_gone(tmp_path: Path) -> None:
    rounds = History(tmp_path, [])
    for index in range(5):
        rounds.add({"round": index, "bn": 1.0})
    resumed = History(tmp_path, rounds.rows[:3])
    resumed.add({"round": 3, "bn": 0.5})
    lines, table = on_disk(tmp_path)
    assert [row["round"] for row in lines] == [0, 1, 2, 3]
    assert [float(cells["bn"]) for cells in table] == [1.0, 1.0, 1.0, 0.5]


def test_twice_as_many_rounds_write_twice_as_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for name in ("write_text", "append_text"):
        monkeypatch.setattr(history, name, lambda path, text: written.append(len(text)))

    def bytes_of(count: int) -> int:
        written.clear()
        rounds = History(tmp_path, [WARMING] * 10)
        for _ in range(count):
            rounds.add(LEARNING)
        return sum(written)

    assert bytes_of(2000) < 2.1 * bytes_of(1000)


def test_a_line_that_finds_the_disk_full_is_not_there_at_all(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_text(path, "whole\n")
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9, most))  # the next line fits to its half
    try:
        with pytest.raises(UsageError, match=r"no space left .*metrics\.jsonl"):
            append_text(path, "wholly\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert path.read_text() == "whole\n"
