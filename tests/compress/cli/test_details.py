"""`compress evaluate --details --confusion FILE`: all scores of label maps."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mask_files import folder

from compress import evaluate
from compress.tasks.models import create_model

Run = Callable[..., int]
NETWORK = "fpn:tu-test_resnet"


@pytest.fixture
def words(tmp_path: Path) -> list[object]:
    torch.manual_seed(0)
    torch.save(create_model("segmentation", NETWORK, 2).network.state_dict(), tmp_path / "two.pt")
    folder(("images/a.png", "masks/a_mask.png"), names="background\nroad\n")(tmp_path)
    place = ["--data", "mask-folder", "--data-root", tmp_path]
    return ["evaluate", tmp_path / "two.pt", "--teacher", NETWORK, *place]


def test_all_scores_are_in_one_object_and_the_counts_in_a_table(
    run: Run, words: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--details", "--json", "--confusion", tmp_path / "counts.csv") == 0
    numbers = json.loads(capsys.readouterr().out)
    means = {"miou", "miou_without_background", "mean_dice", "mean_accuracy", "frequency_weighted_iou", "boundary_iou"}
    assert means <= numbers.keys()
    rows = list(csv.reader((tmp_path / "counts.csv").read_text().splitlines()))
    assert sum(int(cell) for row in rows[1:] for cell in row[1:]) == 11
    assert set(numbers["precision"]) == set(numbers["dice"]) == set(numbers["iou"])


def test_python_gives_the_same_numbers(
    run: Run, words: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--details", "--json") == 0
    place = {"data": "mask-folder", "data_root": tmp_path}
    scores = evaluate(tmp_path / "two.pt", teacher=NETWORK, details=True, **place)
    assert scores == json.loads(capsys.readouterr().out)


def test_without_the_flag_the_scores_are_as_before(
    run: Run, words: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--json") == 0
    assert "mean_dice" not in json.loads(capsys.readouterr().out)


def test_a_file_that_is_there_is_not_written_over(
    run: Run, words: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.csv").write_text("mine")
    assert run(*words, "--confusion", tmp_path / "notes.csv") == 2
    assert "choose another file for --confusion" in capsys.readouterr().err
    assert (tmp_path / "notes.csv").read_text() == "mine"
