"""The page of a run, as the browser gets it and as one shows it."""

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from compress.cli.report import report
from compress.errors import UsageError
from compress.export import OnnxScores
from compress.runs.exported_files import exported_files
from compress.storage.run_directory import RunDirectory
from compress.testing import FakeTask

HOSTILE = "<script>alert(1)</script>"
PICTURES = "return [...document.images].map(image => [image.alt, image.complete, image.naturalWidth])"
SPILLS = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Page(HTMLParser):
    """The tags with their attributes, and the text between them."""

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed((run.path / "report.html").read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        return " ".join(filter(None, self.texts))


def results(run: RunDirectory) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((run.path / "report.json").read_text())
    return report


def test_the_page_is_one_file_that_asks_for_no_other(finished: RunDirectory) -> None:
    page = Page(finished)
    images = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(images) > 20
    assert all(source and source.startswith("data:image/") for source in images)
    assert not {"script", "iframe", "object", "embed", "source", "video"} & {tag for tag, _ in page.tags}
    values = [value or "" for tag, attributes in page.tags for name, value in attributes.items()]
    assert not [value for value in values if "://" in value]
    style = page.texts[[tag for tag, _ in page.tags].index("style")]
    assert not [text for text in page.texts if "url(" in text or "@import" in text], style
    assert all("alt" in attributes for tag, attributes in page.tags if tag == "img")


def test_the_names_of_classes_are_text_and_nothing_else(finished: RunDirectory) -> None:
    page = Page(finished)
    assert HOSTILE in page.text
    assert "a & b" in page.text
    assert "<script" not in (finished.path / "report.html").read_text()


def test_the_page_says_what_became_of_the_run(finished: RunDirectory) -> None:
    text, report = Page(finished).text, results(finished)
    metric = "top1" if report["task"] == "classification" else "miou"
    for word in (f"{report['kept']:.1%}", f"{report['student'][metric]:.4f}", "fast-dfkd", "400 held-out images of own",
                 "model.onnx", "ONNX fp32", "One-hot loss", "Class evenness", "Agreement", "Round 4 of 4", "drawn",
                 "Signs that need no data", "Evenness", "Distance", "Spread",
                 "What these numbers do not say", "seed 0", "inversion.samples", "torch", "one image"):  # fmt: skip
        assert word in text, word


def test_the_same_figures_lie_in_the_report_as_json(finished: RunDirectory) -> None:
    report = results(finished)
    scored = sum(count for answers in report["confusion"].values() for count in answers.values())
    assert scored == 400 * (16 * 16 if report["task"] == "segmentation" else 1)
    assert set(report["student"]["accuracy" if report["task"] == "classification" else "iou"]) <= set(report["classes"])
    onnx = report["exported"]["model.onnx"]
    assert onnx["precision"] == "fp32"
    assert onnx["bytes"] == report["onnx"]["bytes"]
    assert set(report["latency"]["milliseconds"]) == {"teacher", "student", "model.onnx"}
    assert all(0 < value < 1000 for value in report["latency"]["milliseconds"].values())
    assert len(report["shown"]) == 12
    assert all((finished.path / entry["picture"]).is_file() for entry in report["shown"])
    if report["task"] == "classification":
        right = [entry["student"] == entry["label"] for entry in report["shown"]]
        assert [entry["right"] for entry in report["shown"]] == right
        assert all(entry["teacher"] == entry["label"] for entry in report["shown"])


def test_the_hardest_and_the_most_drawn_samples_are_those_of_the_buffer(finished: RunDirectory) -> None:
    buffer, text = finished.read_checkpoint()["buffer"], Page(finished).text
    assert f"drawn {int(buffer['draws'].max())} time" in text
    priority = buffer["priority"][buffer["draws"] > 0].max().item()
    assert f"priority {priority:.3g}" in text


@pytest.fixture
def copied(finished: RunDirectory, tmp_path: Path) -> RunDirectory:
    """A run that may be changed."""
    return RunDirectory(Path(shutil.copytree(finished.path, tmp_path / "copy")))


def test_a_run_that_is_not_finished_has_a_page_too(copied: RunDirectory) -> None:
    (copied.path / "report.json").unlink()
    rows = (copied.path / "metrics.jsonl").read_text().splitlines(keepends=True)
    (copied.path / "metrics.jsonl").write_text("".join(rows[:2]))
    report(copied.path)
    text = Page(copied).text
    assert "2 of 4 rounds done" in text
    assert "the student has not been scored" in text
    assert "class 0" in text or "class 1" in text


def test_a_file_that_was_added_is_listed_and_said_not_to_be_scored(copied: RunDirectory) -> None:
    shutil.copy(copied.onnx, copied.onnx.with_name("model.other.onnx"))
    before = results(copied)
    report(copied.path)
    after, text = results(copied), Page(copied).text
    assert "model.other.onnx was not scored" in text
    assert after["exported"]["model.onnx"] == before["exported"]["model.onnx"]
    assert {key: after[key] for key in before if key != "exported"} == {
        key: before[key] for key in before if key != "exported"
    }


def test_a_broken_file_of_the_run_is_named(copied: RunDirectory) -> None:
    (copied.path / "metrics.jsonl").write_text('{"round": 0, "bn"')
    with pytest.raises(UsageError, match=r"metrics\.jsonl is broken"):
        report(copied.path)


def test_a_file_is_scored_once(finished: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    task, folder, asked = FakeTask(positions=results(finished)["task"] == "segmentation"), finished.onnx.parent, []
    run_file = OnnxScores.__call__
    monkeypatch.setattr(OnnxScores, "__call__", lambda scores, images: asked.append(1) or run_file(scores, images))
    first = exported_files(folder, {}, "accuracy", task)
    assert 0 <= first["model.onnx"]["accuracy"] <= 1
    assert len(asked) == 2
    assert exported_files(folder, first, "accuracy", task) == first
    assert len(asked) == 2, "what is known is not asked for again"
    assert (
        exported_files(folder, {"model.onnx": {**first["model.onnx"], "sha256": "another"}}, "accuracy", task) == first
    )
    assert len(asked) == 4


def opened(browser: Any, run: RunDirectory, width: int, scheme: str) -> None:
    """The page of a run on a screen of that width, in light or dark."""
    colours = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", colours)
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get((run.path / "report.html").as_uri())


def asked(browser: Any) -> list[str]:
    """Addresses that were asked for since the last time."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


def test_it_is_whole_at_any_width_and_in_both_colour_schemes(browser: Any, finished: RunDirectory) -> None:
    asked(browser)
    papers = {}
    for scheme in ("light", "dark"):
        for width in (400, 1400):
            opened(browser, finished, width, scheme)
            pictures = browser.execute_script(PICTURES)
            assert len(pictures) > 20
            assert not [picture for picture in pictures if not picture[1] or not picture[2]]
            assert browser.execute_script(SPILLS) == 0, f"at {width} pixels the page is wider than the screen"
            text = browser.find_element("tag name", "body").text
            for words in ("parameters", HOSTILE, "a & b", "Agreement", "What these numbers do not say", "seed 0"):
                assert words in text, words
        papers[scheme] = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert papers["light"] != papers["dark"]
    assert browser.get_log("browser") == []
    own = (finished.path / "report.html").as_uri()
    assert {address for address in asked(browser) if not address.startswith("data:")} == {own}


def test_the_name_of_a_class_runs_nothing(browser: Any, finished: RunDirectory) -> None:
    opened(browser, finished, 1400, "light")
    assert browser.execute_script("return document.querySelectorAll('script').length") == 0
    names = browser.execute_script("return [...document.querySelectorAll('.dumbbell .name')].map(e => e.textContent)")
    assert HOSTILE in names
