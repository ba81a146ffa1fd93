"""Where OpenVINO's files may be written, before anything is exported."""

from pathlib import Path

import pytest

from compress.errors import UsageError
from compress.runs import openvino as job
from compress.runs.export import ExportOptions
from compress.runs.openvino import export_openvino


@pytest.fixture(autouse=True)
def nothing_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusals come first."""
    monkeypatch.setattr(job, "opened", lambda *_, **__: pytest.fail("it was exported"))


def test_a_description_ends_in_xml(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model.onnx does not end in .xml"):
        export_openvino(tmp_path, tmp_path / "model.onnx")
    with pytest.raises(UsageError, match="name the file to write with `out`"):
        export_openvino(tmp_path / "model.safetensors")


def test_the_format_is_for_no_other_runtime(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`target` tensorrt is for ONNX files: .* leave it out"):
        export_openvino(tmp_path, tmp_path / "model.xml", ExportOptions(target="tensorrt"))
    with pytest.raises(UsageError, match="unknown target 'opnvino': did you mean 'openvino'"):
        export_openvino(tmp_path, tmp_path / "model.xml", ExportOptions(target="opnvino"))


@pytest.mark.parametrize("name", ["model.xml", "model.bin"])
def test_files_of_others_are_not_written_over(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=rf"{name} is there and compress did not write it"):
        export_openvino(tmp_path, tmp_path / "model.xml")
    assert (tmp_path / name).read_text() == "mine"
