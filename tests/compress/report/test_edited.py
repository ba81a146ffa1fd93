"""A run directory is input: what was edited in it is shown if it is sound, refused in one line if not."""

import copy
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from compress.errors import UsageError
from compress.report import write_page
from compress.storage.run_directory import RunDirectory

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def copied(finished: RunDirectory, tmp_path: Path) -> RunDirectory:
    """A finished run, to be edited."""
    shutil.copytree(finished.path, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def edit(run: RunDirectory, change: Edit) -> None:
    file = run.path / "report.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def refused(run: RunDirectory) -> str:
    page = run.path / "report.html"
    before = page.read_bytes()
    with pytest.raises(UsageError) as caught:
        write_page(run)
    assert "\n" not in str(caught.value)
    assert "Error" not in str(caught.value), "no words of Python's own"
    assert page.read_bytes() == before
    return str(caught.value)


EDITS: dict[str, Edit] = {
    "no student": lambda r: r.pop("student"),
    "no teacher": lambda r: r.pop("teacher"),
    "no file": lambda r: r.pop("onnx"),
    "no seconds": lambda r: r.pop("seconds"),
    "no parity": lambda r: r.pop("parity"),
    "no kept": lambda r: r.pop("kept"),
    "no count": lambda r: r.pop("n"),
    "no version": lambda r: r.pop("schema_version"),
    "a later version": lambda r: r.update(schema_version=2),
    "a student of text": lambda r: r.update(student="small"),
    "a list of students": lambda r: r.update(student=[1]),
    "text for a score": lambda r: r["student"].update(top1="high", miou="high"),
    "infinity": lambda r: r["student"].update(top1=float("inf"), miou=float("inf")),
    "no bytes": lambda r: r["onnx"].pop("bytes"),
    "negative bytes": lambda r: r["onnx"].update(bytes=-1),
    "no parameters": lambda r: r["teacher"].update(parameters=0),
    "parity of text": lambda r: r.update(parity="passed"),
    "parity of numbers": lambda r: r.update(parity=[1]),
    "exported list": lambda r: r.update(exported=[]),
    "exported text": lambda r: r.update(exported={"model.onnx": "good"}),
    "exported without bytes": lambda r: r.update(exported={"model.onnx": {"precision": "fp32"}}),
    "latency of text": lambda r: r.update(latency={"milliseconds": {"teacher": "1", "student": "2"}}),
    "latency of nobody": lambda r: r.update(latency={"milliseconds": {}}),
    "latency of zero": lambda r: r.update(latency={"milliseconds": {"teacher": 1.0, "student": 0.0}}),
    "classes of numbers": lambda r: r.update(classes=[1, 2]),
    "confusion of strangers": lambda r: r.update(confusion={"nobody": {"nothing": 1}}),
    "confusion of text": lambda r: r.update(confusion={"cat": {"dog": "often"}}),
    "files of text": lambda r: r.update(files={"a": "official"}),
    "a day that is none": lambda r: r.update(finished="2026-13-45T00:00:00+00:00"),
    "yesterday": lambda r: r.update(finished="yesterday"),
    "seconds of text": lambda r: r.update(seconds={"inversion": "long", "distillation": 1.0, "evaluation": 1.0}),
    "seconds of another kind": lambda r: r.update(seconds={"inversion": 1.0}),
    "pictures of numbers": lambda r: r.update(shown=[1]),
    "pictures without a path": lambda r: r.update(shown=[{"right": 1.0}]),
    "a picture elsewhere": lambda r: r.update(shown=[{"picture": "/etc/passwd"}]),
    "a picture above": lambda r: r.update(shown=[{"picture": "held-out/../../secret.png"}]),
    "a picture that is not there": lambda r: r.update(shown=[{"picture": "held-out/99.png"}]),
    "a colour": lambda r: r.update(palette=["red;} body {"]),
}


@pytest.mark.parametrize("case", EDITS)
def test_an_edited_report(case: str, copied: RunDirectory) -> None:
    edit(copied, EDITS[case])
    assert str(copied.path) in refused(copied)


FILES = {
    "report.json": ("[]", "[1]", "5", '"x"', "{", '{"a": 1, "a": 2}', "[" * 100_000, "\xff"),
    "environment.json": ("[1]", '{"threads": "four"}', '{"cuda": 5}', "{"),
    "metrics.jsonl": ("[1]\n", '{"round": "x"}\n', '{"kl": "low"}\n', '{"kl": null}\n', "5\n", '{"round": 7}\n', "{\n"),
    "config.yaml": ("seed: 1\n", "[1]\n", "task: 5\n", "distillation: 3\n", "format: 2\n"),
}


@pytest.mark.parametrize(("name", "content"), [(n, c) for n, several in FILES.items() for c in several], ids=range(24))
def test_an_edited_file(name: str, content: str, copied: RunDirectory) -> None:
    if content in ("[]",):
        pytest.skip("an empty report is that of an unfinished run")
    (copied.path / name).write_text(content, encoding="latin-1")
    refused(copied)


def test_no_private_picture_is_drawn_into_the_page(copied: RunDirectory, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8), (1, 2, 3)).save(secret)
    for own in (copied.path / "held-out" / "01.png", next((copied.path / "samples").glob("round-*.png"))):
        content = own.read_bytes()
        own.unlink()
        own.symlink_to(secret)
        assert "is no picture of the run" in refused(copied)
        own.unlink()
        own.write_bytes(b"\x89PNG broken")
        assert "is broken" in refused(copied)
        own.write_bytes(content)
    write_page(copied)


@pytest.mark.parametrize(
    "buffer",
    [
        {"images": torch.zeros(2, 3, 4, 4)},
        {"images": torch.zeros(2, 3, 4, 4, dtype=torch.uint8), "draws": torch.ones(3)},
        {"draws": torch.ones(2), "priority": torch.ones(2, 2)},
    ],
)
def test_a_buffer_that_is_no_table(buffer: dict[str, torch.Tensor], copied: RunDirectory) -> None:
    whole = copied.read_checkpoint()["buffer"]
    copied.write_checkpoint({"buffer": {**whole, **buffer}})
    assert "its buffer is no table" in refused(copied)


def places(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in keys:
        yield (*above, key)
        yield from places(content[key], (*above, key))


def test_whatever_is_put_in_any_place_is_shown_or_refused(copied: RunDirectory) -> None:
    whole, draw, said = json.loads((copied.path / "report.json").read_text()), random.Random(0), 0
    for _ in range(60):
        content = copy.deepcopy(whole)
        *above, last = draw.choice(list(places(content)))
        inner = content
        for key in above:
            inner = inner[key]
        inner[last] = draw.choice([None, "x", [], {}, -1, True, 1e300, [[1]], {"a": "b"}])
        (copied.path / "report.json").write_text(json.dumps(content))
        try:
            write_page(copied)
        except UsageError as error:
            said += "\n" not in str(error)
    assert said > 10


def test_the_page_says_what_the_collected_photographs_were_for(copied: RunDirectory) -> None:
    config, page = copied.path / "config.yaml", copied.path / "report.html"
    assert "no one drew or photographed them" in page.read_text()
    beside = {**yaml.safe_load(config.read_text()), "collected": "photographs"}
    config.write_text(yaml.safe_dump(beside))
    write_page(copied)
    assert "The student learnt from collected photographs beside them" in page.read_text()
    del beside["distillation"]["collected_share"]
    config.write_text(yaml.safe_dump({**beside, "method": "kd"}))
    write_page(copied)
    assert "Collected images, and what was made of them" in page.read_text()
