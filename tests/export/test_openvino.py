"""OpenVINO's format: the same card and answers as the ONNX file's, by its own runtime; refusals without it."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from bundles import Bundled
from torch import nn

from compress.errors import UsageError
from compress.export import TARGETS, OnnxModel, Source
from compress.export.openvino import CARD_KEY, EXACT, OpenVinoModel, check_openvino, is_own_openvino, write_openvino
from compress.export.quantisation import to_int8


@pytest.fixture
def openvino() -> Any:
    """The library, which is an extra of this package."""
    return pytest.importorskip("openvino", reason="openvino is not installed: pip install '.[openvino]'")


FORMS = [f"{kind} {input} decision" for kind in ("labels", "maps") for input in ("float", "uint8")]


@pytest.mark.parametrize("form", [*FORMS, "maps float logits"])
def test_openvino_answers_as_onnxruntime_does_and_carries_the_card(
    form: str, openvino: Any, bundles: Bundled, tmp_path: Path
) -> None:
    file = bundles(form) / "model.onnx"
    write_openvino(file, tmp_path / "model.xml")
    own, other = OnnxModel(file), OpenVinoModel(tmp_path / "model.xml")
    assert other.card == own.card
    assert is_own_openvino(tmp_path / "model.xml")
    size = (32, 32) if own.card.input == "uint8" else (40, 48)  # what is resized inside is resized otherwise
    images = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(0)).numpy()
    expected, actual = own.run(own.as_input(images)), other.run(other.as_input(images))
    assert {name: (values.shape, values.dtype) for name, values in actual.items()} == {
        name: (values.shape, values.dtype) for name, values in expected.items()
    }
    for name, values in expected.items():
        assert np.mean(np.abs(actual[name].astype(float) - values) < 1e-4) > 0.99, name


def test_the_comparison_finds_another_network(openvino: Any, bundles: Bundled, tmp_path: Path) -> None:
    write_openvino(bundles("maps float decision") / "model.onnx", tmp_path / "model.xml")
    network, _ = bundles.networks["maps"]
    written = OpenVinoModel(tmp_path / "model.xml")
    results = check_openvino(network, written, None)
    assert all(result.passed for result in results), [str(result) for result in results]

    class Exchanged(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return network(images)[:, [1, 0, 2]]

    assert not any(result.passed for result in check_openvino(Exchanged(), written, None))


def difference(openvino: Any, network: onnx.ModelProto, images: np.ndarray) -> float:
    """Mean difference of OpenVINO's logits from those of the graph, computed operator by operator."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = network.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    compiled = openvino.Core().compile_model(openvino.Core().read_model(data), "CPU", EXACT)
    return float(np.abs(session.run(None, {"images": images})[0] - compiled(images)[0]).mean())


def test_int8_for_openvino_is_computed_as_it_is_written(openvino: Any, residual: onnx.ModelProto) -> None:
    images = torch.rand(32, 3, 16, 16, generator=torch.Generator().manual_seed(1)).numpy()
    differences = {
        name: difference(
            openvino, to_int8(Source(network=residual, images=images, target=TARGETS[name])).network, images
        )
        for name in ("cpu", "openvino")
    }
    assert differences["openvino"] < 0.1 * differences["cpu"]


def test_files_of_others_are_not_ours(tmp_path: Path) -> None:
    for name, text in {"a.xml": "<net/>", "b.xml": "no xml", "c.xml": "<net><rt_info/></net>"}.items():
        (tmp_path / name).write_text(text)
        assert not is_own_openvino(tmp_path / name)
    assert not is_own_openvino(tmp_path / "none.xml")


def test_without_openvino_the_extra_is_named(bundles: Bundled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UsageError, match=r"pip install 'compress-kd\[openvino\]'"):
        write_openvino(bundles("maps float decision") / "model.onnx", tmp_path / "model.xml")
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_card_is_refused(openvino: Any, bundles: Bundled, tmp_path: Path) -> None:
    model = openvino.Core().read_model(bundles("maps float decision") / "model.onnx")
    openvino.save_model(model, tmp_path / "model.xml")
    with pytest.raises(UsageError, match="it has no card"):
        OpenVinoModel(tmp_path / "model.xml")
    (tmp_path / "model.xml").write_text("no network")
    with pytest.raises(UsageError, match="OpenVINO cannot load"):
        OpenVinoModel(tmp_path / "model.xml")


def test_a_description_that_declares_entities_is_not_read_and_is_not_ours(tmp_path: Path) -> None:
    card = f"<net><rt_info><{CARD_KEY} value='x'/></rt_info></net>"
    (tmp_path / "plain.xml").write_text(card)
    (tmp_path / "entities.xml").write_text(f'<!DOCTYPE net [<!ENTITY a "b">]>{card}')
    assert is_own_openvino(tmp_path / "plain.xml")
    assert not is_own_openvino(tmp_path / "entities.xml")
