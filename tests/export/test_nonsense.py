"""ONNX files that answer nonsense, or whose cards ask for all of the memory: each is refused in one line."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.errors import UsageError
from compress.export import FileCard, OnnxModel
from compress.export.card import CARD_KEY, is_own_file
from compress.export.runtime import BATCH_PIXELS, _batches_of_one_shape
from compress.storage.untrusted import IMAGE_PIXELS

Answer = dict[str, np.ndarray]
DECISION = FileCard(task="classification", class_names=("a", "b", "c"), image_shape=(3, 8, 8), image_size=8)
MAPS = replace(DECISION, task="segmentation")
GOOD_SCORES = np.array([[0.7, 0.2, 0.1]], np.float32)
IMAGE = np.zeros((1, 3, 8, 8), np.float32)


def constant(folder: Path, card: FileCard, answer: Answer) -> OnnxModel:
    """A file that always answers the same."""
    values = [numpy_helper.from_array(value, f"{name}_value") for name, value in answer.items()]
    nodes = [helper.make_node("Identity", [f"{name}_value"], [name]) for name in answer]
    outputs = [
        helper.make_tensor_value_info(name, value.data_type, None) for name, value in zip(answer, values, strict=True)
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 8, 8])
    graph = helper.make_graph(nodes, "graph", [images], outputs, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {**card.entries(), CARD_KEY: json.dumps(asdict(card))})
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return OnnxModel(folder / "model.onnx")


def test_a_sound_answer_is_an_answer(tmp_path: Path) -> None:
    model = constant(tmp_path, DECISION, {"classes": np.array([[2, 0, 1]]), "scores": GOOD_SCORES})
    assert model.run(IMAGE)["classes"].tolist() == [[2, 0, 1]]
    assert is_own_file(tmp_path / "model.onnx")


NONSENSE: dict[str, tuple[FileCard, Answer]] = {
    "float class numbers": (DECISION, {"classes": np.array([[2.0, 0.5, 1.0]], np.float32), "scores": GOOD_SCORES}),
    "text": (DECISION, {"classes": np.array([["a", "b", "c"]], object), "scores": GOOD_SCORES}),
    "text for scores": (replace(DECISION, output="logits"), {"logits": np.array([["a", "b", "c"]], object)}),
    "whole scores": (replace(DECISION, output="logits"), {"logits": np.array([[1, 2, 3]])}),
    "a map of a classifier": (DECISION, {
        "classes": np.zeros((1, 8, 8), np.int64), "scores": np.zeros((1, 8, 8), np.float32)
    }),
    "labels of a segmenter": (MAPS, {"classes": np.array([[2, 0, 1]]), "scores": GOOD_SCORES}),
    "logit maps of a classifier": (replace(DECISION, output="logits"), {"logits": np.zeros((1, 3, 8, 8), np.float32)}),
    "NaN": (DECISION, {"classes": np.array([[2, 0, 1]]), "scores": GOOD_SCORES * np.nan}),
    "infinity": (replace(DECISION, output="logits"), {"logits": np.array([[np.inf, 0, 0]], np.float32)}),
    "an unknown class": (DECISION, {"classes": np.array([[3, 0, 1]]), "scores": GOOD_SCORES}),
    "a negative class": (DECISION, {"classes": np.array([[-1, 0, 1]]), "scores": GOOD_SCORES}),
    "too many classes": (replace(DECISION, output="logits"), {"logits": np.zeros((1, 4), np.float32)}),
    "another batch": (DECISION, {"classes": np.zeros((2, 3), np.int64), "scores": np.zeros((2, 3), np.float32)}),
    "nothing": (DECISION, {"classes": np.zeros((1, 0), np.int64), "scores": np.zeros((1, 0), np.float32)}),
}  # fmt: skip


@pytest.mark.parametrize("case", NONSENSE)
def test_an_answer_that_is_none(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    card, answer = NONSENSE[case]
    with pytest.raises(UsageError, match=r"model\.onnx returns [^\n]*export it again$"):
        constant(tmp_path, card, answer).run(IMAGE)
    assert capfd.readouterr() == ("", "")


def test_numbers_that_lie_on_a_pipe_are_refused_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="pipe")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "graph", values[:1], values[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match="onnxruntime cannot load"):
        OnnxModel(tmp_path / "model.onnx")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "change",
    [
        {"image_shape": (3, 65_535, 65_535)},
        {"image_shape": (3, 4000, 4000)},
        {"image_shape": (3, 1, 6_000_001)},
        {"image_size": 4000},
    ],
    ids=str,
)
def test_images_that_fill_the_memory_are_refused_by_their_pixels(change: dict[str, object]) -> None:
    text = json.dumps({**asdict(DECISION), **change})
    with pytest.raises(ValueError, match=r"^its (images|image shape)[^\n]+$"):
        FileCard.read({CARD_KEY: text})
    wide = {**asdict(DECISION), "image_shape": (3, 100, IMAGE_PIXELS // 100)}
    if wide["image_shape"][2] < 1 << 16:
        FileCard.read({CARD_KEY: json.dumps(wide)})


def test_large_pictures_are_run_in_smaller_batches() -> None:
    small, large = np.zeros((3, 8, 8), np.uint8), np.zeros((3, 2500, 4000), np.uint8)
    assert BATCH_PIXELS == 20_000_000
    assert [len(places) for places in _batches_of_one_shape([small] * 20 + [large] * 5, 16)] == [16, 4, 2, 2, 1]
    assert [len(places) for places in _batches_of_one_shape([np.zeros((2500, 4000, 3), np.uint8)] * 3, 16)] == [2, 1]


def test_a_file_of_somebody_else_is_not_our_own(tmp_path: Path) -> None:
    for content in (b"notes", b"", onnx.ModelProto(ir_version=10).SerializeToString()):
        (tmp_path / "file").write_bytes(content)
        assert not is_own_file(tmp_path / "file")
