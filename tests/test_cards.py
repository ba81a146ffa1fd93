"""What models say of themselves, wrongly: cards, config.json, names. Each is refused in one line, with nothing made."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file

from compress.export import FileCard, OnnxModel
from compress.tasks.models import create_model
from compress.tasks.models.model_folder import load_model

CARD = {
    "task": "classification", "network": "cifar_wrn_16_1", "data": "digits", "class_names": ["a", "b"],
    "image_shape": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3,
}  # fmt: skip
CARDS: dict[str, object] = {
    "no table": "[]",
    "nothing": "null",
    "twice": '{"task": "classification", "task": "segmentation"}',
    "giant": {"network": "vgg19"},
    "elsewhere": {"network": "hf-hub:owner/name"},
    "a folder": {"network": "local-dir:/"},
    "unknown": {"network": "../../x"},
    "name of another type": {"network": 5},
    "other task": {"task": "regression"},
    "terminal": {"class_names": ["a", "\x1b[2J"]},
    "lines": {"class_names": ["a", "b\nc"]},
    "number": {"class_names": 5},
    "none": {"class_names": []},
    "huge images": {"image_shape": [3, 10**9, 10**9]},
    "grey": {"image_shape": [1, 32, 32]},
    "mean": {"mean": [0.5]},
    "infinite": {"mean": [1e999, 0, 0]},
    "zero": {"std": [0, 0, 0]},
    "palette": {"palette": [[1, 2, 3]]},
    "colour": {"palette": [[1, 2, 3], [1, 2, 300]]},
    "size": {"image_size": "big"},
    "channels": {"shared_channels": 10**12},
    "channels that nothing fills": {"shared_channels": 60_000},
    "extra": {"more": 1},
}


@pytest.mark.parametrize("case", CARDS)
def test_a_card_in_a_header(case: str, tmp_path: Path, complaint) -> None:
    changes = CARDS[case]
    text = changes if isinstance(changes, str) else json.dumps({**CARD, **changes})
    save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors", metadata={"compress": text})
    assert complaint(lambda: load_model(tmp_path))


CONFIGS: dict[str, object] = {
    "list": "[]",
    "no json": "{",
    "twice": '{"architecture": "test_resnet", "architecture": "test_vit"}',
    "unknown": {"architecture": "x"},
    "type": {"architecture": 5},
    "giant": {"architecture": "vgg19"},
    "arguments": {"model_args": {"width": 10**9}, "pretrained_cfg": {"num_classes": 3}},
    "arguments that fit no memory": {"model_args": {"channels": [9000] * 4}, "pretrained_cfg": {"num_classes": 3}},
    "classes": {"num_classes": "ten"},
    "mean": {"pretrained_cfg": {"mean": "grey", "num_classes": 3}},
    "nan": '{"architecture": "test_resnet", "pretrained_cfg": {"mean": [NaN, 0, 0]}}',
    "deviation": {"pretrained_cfg": {"std": [0, 0, 0], "num_classes": 3}},
    "cfg": {"pretrained_cfg": 5},
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_of_timm(case: str, tmp_path: Path, complaint) -> None:
    changes = CONFIGS[case]
    usual = {"architecture": "test_resnet", "num_classes": 3}
    text = changes if isinstance(changes, str) else json.dumps({**usual, **changes})
    (tmp_path / "config.json").write_text(text)
    save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors")
    assert "cannot use" in complaint(lambda: create_model("classification", f"local-dir:{tmp_path}", 3))


NAMES = [
    "local-dir:", "local-dir:nowhere", "local-dir:\x1b[2J", "local-dir:" + "x" * 300, "local-dir:a\0b",
    "local-dir:/dev/zero", "local-dir:/proc/self", "hf-hub:", "hf-hub:../../etc", "hf-hub:a/../b", "hf-hub:a/b/c",
    "hf-hub:owner/name@../x", "hf-hub:owner/\x1b[31m", "hf-hub:a b/c", "hf_hub:a/b", "a/b", "a:b", "\x1b[2J", "",
    "resnet18.../..", "x" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_a_name_of_a_network(task: str, complaint) -> None:
    for name in NAMES:
        assert complaint(lambda name=name: create_model(task, name, 3))


ONNX: dict[str, object] = {
    "no json": "{",
    "twice": '{"schema_version": 1, "schema_version": 1}',
    "nested": "[" * 100_000,
    "other version": {"schema_version": 2},
    "extra": {"more": 1},
    "no names": {"class_names": []},
    "names": {"class_names": "abc"},
    "terminal": {"class_names": ["a", "\x1b[2J"]},
    "lines": {"class_names": ["a", "b\nc"]},
    "shape": {"image_shape": [3, -1, 8]},
    "size": {"image_size": "8"},
    "no size": {"image_size": 0},
    "palette": {"palette": 5},
    "few colours": {"palette": [[1, 2, 3]]},
    "colours": {"palette": [[1, 2, 3], 5]},
    "bright": {"palette": [[1, 2, 3], [1, 2, 300]]},
    "task": {"task": 5},
    "ignored": {"ignore_index": "none"},
    "input": {"input": "film"},
    "output": {"output": ["logits"]},
}


@pytest.mark.parametrize("case", ONNX)
def test_a_card_in_an_onnx_file(case: str) -> None:
    changes = ONNX[case]
    usual = json.loads(
        FileCard(task="segmentation", class_names=("a", "b"), image_shape=(3, 8, 8), image_size=8).entries()["compress"]
    )
    text = changes if isinstance(changes, str) else json.dumps({**usual, **changes})
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        FileCard.read({"compress": text})


def onnx_file(folder: Path, card: FileCard, answers: int = 2, inputs: tuple[str, ...] = ("images",)) -> Path:
    """The mean colour of an image, of which the first `answers` channels are given."""
    shapes = (*((name, ["batch", 3, 8, 8]) for name in inputs), ("logits", ["batch", answers]))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes]
    bounds = [
        helper.make_tensor(n, TensorProto.INT64, [1], [v]) for n, v in (("from", 0), ("to", answers), ("axis", 1))
    ]
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Slice", ["flat", "from", "to", "axis"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "graph", values[:-1], values[-1:], bounds)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, card.entries())
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def test_an_onnx_file_that_does_not_do_what_its_card_says(tmp_path: Path, complaint) -> None:
    card, image = (
        FileCard(task="classification", class_names=("a", "b"), image_shape=(3, 8, 8), image_size=8, output="logits"),
        np.zeros((1, 3, 8, 8), np.float32),
    )
    assert OnnxModel(onnx_file(tmp_path, card)).run(image)["logits"].shape == (1, 2)
    assert "its card says classes" in complaint(
        lambda: OnnxModel(onnx_file(tmp_path, replace(card, output="decision")))
    )
    assert "has 2 inputs" in complaint(lambda: OnnxModel(onnx_file(tmp_path, card, inputs=("images", "more"))))
    assert "does not fit its 2 classes" in complaint(lambda: OnnxModel(onnx_file(tmp_path, card, answers=3)).run(image))


def test_a_card_without_a_format_as_version_0_1_0_wrote_it_is_read_and_a_later_one_refused(
    tmp_path: Path, complaint
) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file

    from compress.tasks.models.model_folder import Card, save_model

    card = Card(
        task="classification",
        network="cifar_wrn_16_1",
        data="digits",
        class_names=("a", "b"),
        image_shape=(3, 32, 32),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    save_model(tmp_path, create_model("classification", "cifar_wrn_16_1", 2), card, "#")
    file = tmp_path / "model.safetensors"
    with safe_open(file, "pt") as opened:
        said = json.loads(opened.metadata()["compress"])
    assert said.pop("format") == 1
    tensors = load_file(file)
    save_file(tensors, file, metadata={"compress": json.dumps(said)})
    assert load_model(tmp_path)[1] == card
    save_file(tensors, file, metadata={"compress": json.dumps({**said, "format": 2})})
    assert "has the format 2, this version of compress reads 1" in complaint(lambda: load_model(tmp_path))
