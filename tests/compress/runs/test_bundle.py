"""Where a bundle may be written, what becomes of what lies there, and what is handed over as its sample."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import parser
from torch import Tensor

from compress.errors import UsageError
from compress.export import ExportFacts, FileCard, Parity
from compress.export.precision import Converted
from compress.export.writer import write_model
from compress.runs import bundle as job
from compress.runs.bundle import bundle, require_bundle_place
from compress.runs.evaluation import Score
from compress.runs.export import Exported

COLOURS = """<ir_version: 10, opset_import: ["" : 18]> colours (float[n, 3, 8, 8] images) => (float[n, 3] logits) {
    front = Constant <value = int64[2] {2, 3}> ()
    logits = ReduceMean <keepdims = 0> (images, front)
}"""


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    """A file that names the strongest colour, as if it had been compared with a network."""
    file = tmp_path / "model.onnx"
    card = FileCard(
        task="classification",
        class_names=("red", "green", "blue"),
        image_shape=(3, 8, 8),
        image_size=8,
        output="logits",
    )
    network = parser.parse_model(COLOURS)
    write_model(network, card, file)
    parity = Parity(shape=(2, 3, 8, 8), agreement=1.0, largest=1e-7, mean=1e-8, p99=1e-7, passed=True)
    scores = (
        Score(metric="top1", numbers={"top1": 0.9125}, count=40),
        Score(metric="top1", numbers={"top1": 0.9}, count=40),
    )
    facts = ExportFacts(path=file, card=card, reason="", converted=Converted(network=network))
    return Exported(facts=facts, parity=[parity], scores=scores, most_lost=0.02)


@pytest.fixture
def written(exported: Exported, tmp_path: Path) -> Path:
    """A bundle."""
    bundle(exported, tmp_path, tmp_path / "street", fetch=False)
    return tmp_path / "street"


def test_the_card_says_what_was_compared(written: Path) -> None:
    text = (written / "README.md").read_text()
    assert text.startswith("# street\n")
    assert "- torch, 2x3x8x8: decisions 100.00%, difference 1.0e-07 (p99 1.0e-07)\n" in text
    assert "- top1 on 40 held-out images: model 0.9125, file 0.9000\n" in text


def test_a_bundle_is_replaced_and_what_is_not_of_it_stays(written: Path, exported: Exported, tmp_path: Path) -> None:
    (written / "notes.txt").write_text("mine")
    (written / "client.py").write_text("edited")
    (written / "sample" / "scores.bin").write_text("left by another form of file")
    (written / "sample" / "street.jpg").write_text("mine")
    bundle(exported, tmp_path, written, fetch=False)
    assert (written / "sample" / "street.jpg").read_text() == "mine"
    assert (written / "notes.txt").read_text() == "mine"
    assert "onnxruntime" in (written / "client.py").read_text()
    assert not (written / "sample" / "scores.bin").exists()


def foreign(folder: Path) -> None:
    folder.mkdir()
    (folder / "README.md").write_text("mine")


def of_another_kind(folder: Path) -> None:
    folder.mkdir()
    (folder / ".compress.json").write_text(json.dumps({"kind": "run", "format": 1}))
    (folder / "README.md").write_text("a run's")


def a_file(folder: Path) -> None:
    folder.write_text("mine")


def folder_in_the_way(folder: Path) -> None:
    folder.mkdir()
    (folder / ".compress.json").write_text(json.dumps({"kind": "bundle", "format": 1}))
    (folder / "model.onnx").mkdir()


def file_in_the_way(folder: Path) -> None:
    folder.mkdir()
    (folder / ".compress.json").write_text(json.dumps({"kind": "bundle", "format": 1}))
    (folder / "client.py").write_text("of the last bundle")
    (folder / "sample").write_text("mine")


def link_in_the_way(folder: Path) -> None:
    file_in_the_way(folder)
    (folder / "sample").unlink()
    (folder / "elsewhere").mkdir()
    (folder / "sample").symlink_to(folder / "elsewhere")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (foreign, "is not a bundle of compress.*choose another `bundle`"),
        (of_another_kind, "is not a bundle of compress"),
        (a_file, "is no folder"),
        (folder_in_the_way, "is a folder where a file of the bundle belongs"),
        (file_in_the_way, "sample is no folder, but the bundle has one"),
        (link_in_the_way, "sample is no folder, but the bundle has one"),
    ],
)
def test_what_is_no_bundle_is_refused_and_left_as_it_is(
    make, complaint: str, exported: Exported, tmp_path: Path
) -> None:
    folder = tmp_path / "street"
    make(folder)
    before = sorted((path, path.is_file() and path.read_bytes()) for path in (folder, *folder.rglob("*")))
    for attempt in (lambda: require_bundle_place(folder), lambda: bundle(exported, tmp_path, folder, fetch=False)):
        with pytest.raises(UsageError, match=complaint):
            attempt()
    assert sorted((path, path.is_file() and path.read_bytes()) for path in (folder, *folder.rglob("*"))) == before


def test_a_bundle_that_fails_leaves_nothing(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(job, "write_bundle", full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match="No space"):
        bundle(exported, tmp_path, tmp_path / "street", fetch=False)
    assert sorted(tmp_path.iterdir()) == before


def test_the_sample_is_the_synthetic_one_that_shows_most(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def samples(_: Path) -> Tensor:
        grey = torch.full((3, 3, 8, 8), 100, dtype=torch.uint8)
        grey[1, 2] = 255
        return grey

    monkeypatch.setattr(job, "synthetic_samples", samples)
    bundle(exported, tmp_path, tmp_path / "street", fetch=False)
    images = np.fromfile(tmp_path / "street" / "sample" / "images.bin", np.float32).reshape(1, 3, 8, 8)
    assert (images[0] * 255).round().astype(int)[:, 0, 0].tolist() == [100, 100, 255]


def test_without_the_runtime_the_rest_is_written_and_the_reason_said(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"NODE_PATH": "", "PATH": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    result = bundle(exported, tmp_path, tmp_path / "street")
    assert "neither is npm to fetch it" in result.without_page
    assert result.without_page in (tmp_path / "street" / "README.md").read_text()
    assert not (tmp_path / "street" / "page.html").exists()
    assert (tmp_path / "street" / "smoke_test.py").exists()


def test_a_task_that_the_clients_do_not_know_is_refused(exported: Exported, tmp_path: Path) -> None:
    card = replace(exported.facts.card, task="counting")
    counting = replace(exported, facts=replace(exported.facts, card=card))
    with pytest.raises(UsageError, match="has clients for classification and segmentation, not for counting"):
        bundle(counting, tmp_path, tmp_path / "street", fetch=False)
    assert not (tmp_path / "street").exists()
