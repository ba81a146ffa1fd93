"""What is said against a run's numbers depends on the run."""

from pathlib import Path
from typing import Any

import pytest

from compress.report.limitations import limitations
from compress.report.record import Record

SCORES = {"teacher": {"name": "big", "top1": 0.9}, "student": {"name": "small", "top1": 0.8}}


def said(
    results: dict[str, Any] | None = None, history: tuple[dict[str, float], ...] = ({"round": 0},), **changed: Any
) -> str:
    """All limitations about a run of that kind in one text."""
    usual = {"n": 1000, "kept": 0.9, "scored_on": "1000 held-out images of cats", "parity": [{"passed": True}]}
    contents = {} if results is None else {**SCORES, **usual, **results}
    settings = {"seed": 7, "distillation": {"rounds": 10}}
    environment = {"threads": 2, "cuda": None, "platform": "Linux x86_64"}
    return " ".join(
        limitations(
            Record(
                folder=Path(),
                settings=settings,
                environment=environment,
                history=history,
                results=contents,
                buffer={},
                **changed,
            )
        )
    )


def test_every_run_names_its_data_its_seed_and_its_machine() -> None:
    text = said({})
    for words in ("1000 held-out images of cats", "seed 7", "2 threads of Linux x86_64", "does not record whether"):
        assert words in text


def test_the_uncertainty_of_a_share_of_images_is_that_of_their_number() -> None:
    assert "2.5 points" in said({"n": 1000})
    assert "24.8 points" in said({"n": 10})


def test_the_embedded_data_chose_its_own_recipes() -> None:
    assert "optimistic" in said({"embedded": True})
    assert "does not record" not in said({"embedded": True})


def test_classes_that_the_mean_hides_are_named() -> None:
    teacher = {"name": "big", "top1": 0.9, "accuracy": {"cat": 0.9, "dog": 0.9}}
    student = {"name": "small", "top1": 0.8, "accuracy": {"cat": 0.9, "dog": 0.45}}
    assert "keeps 50% of “dog”." in said({"teacher": teacher, "student": student})
    assert "hides" not in said({"teacher": teacher, "student": teacher})


def test_without_data_nothing_is_said_of_real_images() -> None:
    agreed = {role: {"name": role, "agreement": 0.9} for role in ("teacher", "student")}
    text = said({**agreed, "kept": None, "n": 256})
    assert "There was no held-out data. 90.0%" in text
    assert "points" not in text


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ({"files": {"test_batch": {"official": False}}}, "test_batch is not the file that its owner publishes"),
        ({"parity": [{"passed": False}]}, "do not use it"),
        ({"exported": {"x.onnx": {"precision": "mine", "top1": 0.8, "notes": ["of its own"]}}}, "x.onnx: of its own."),
        ({"exported": {"model.fp16.onnx": {"precision": "fp16"}}}, "model.fp16.onnx was not scored"),
        ({"latency": {"milliseconds": {}}}, "one image at a time"),
    ],
)
def test_what_a_fact_calls_for_is_said_with_it_and_not_without(results: dict[str, Any], words: str) -> None:
    assert words in said(results)
    assert words not in said({})


def test_an_unfinished_run_is_said_to_be_one() -> None:
    assert "1 of 10 rounds" in said(None)


@pytest.mark.parametrize("results", [None, {}], ids=["unfinished", "finished"])
def test_rounds_in_which_the_student_learnt_nothing_are_named_with_what_to_change(results) -> None:
    history = tuple({"round": index, "standstill": float(index > 3)} for index in range(9))
    text = said(results, history)
    assert "From round 5 to round 9 there were 5 rounds" in text
    assert "Lower distillation.lr" in text
    assert "distillation.lr" not in said(results)
