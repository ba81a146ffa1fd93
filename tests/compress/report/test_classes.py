"""Numbers by class, and what is taken for what."""

from pathlib import Path
from typing import Any

from compress.report.classes import MOST_BARS, bars, confusion
from compress.report.record import Record


def record(**results: Any) -> Record:
    return Record(folder=Path(), settings={}, environment={}, history=[], results=results, buffer={})


def test_rows_of_the_confusion_are_shares_and_its_mistakes_the_largest_off_the_diagonal() -> None:
    counted = {"a": {"a": 3, "b": 1}, "b": {"a": 6, "b": 4}}
    matrix = confusion(record(classes=["a", "b", "c"], confusion=counted))
    assert matrix is not None
    assert matrix.rows[0] == [0.75, 0.25, 0.0]
    assert matrix.rows[2] == [0.0, 0.0, 0.0], "a class that is not there has no mistakes"
    assert [(mistake.true, mistake.predicted) for mistake in matrix.mistakes] == [("b", "a"), ("a", "b")]
    assert not matrix.picture


def test_the_confusion_of_many_classes_is_a_picture() -> None:
    names = [str(index) for index in range(100)]
    matrix = confusion(record(classes=names, confusion={name: {name: 5} for name in names}))
    assert matrix is not None
    assert matrix.picture.startswith("data:image/png;base64,")
    assert not matrix.rows
    assert not matrix.mistakes


def test_without_counts_there_is_no_confusion() -> None:
    assert confusion(record(classes=["a"])) is None


def test_of_very_many_classes_the_lowest_are_shown_and_the_others_counted() -> None:
    student = {str(index): index / 100 for index in range(100)}
    teacher = dict.fromkeys(student, 1.0)
    (chart,) = bars(record(classes=list(student), teacher={"iou": teacher}, student={"miou": 0.5, "iou": student}))
    assert [row.name for row in chart.rows] == [str(index) for index in range(MOST_BARS)]
    assert chart.left_out == 100 - MOST_BARS


def test_a_class_that_only_one_network_has_a_number_for_keeps_its_row() -> None:
    (chart,) = bars(record(classes=["a", "b"], teacher={"iou": {"a": 0.5}}, student={"iou": {"b": 0.25}}))
    assert [(row.name, row.teacher, row.student) for row in chart.rows] == [("a", 0.5, None), ("b", None, 0.25)]
