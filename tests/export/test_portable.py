"""Files are written in the form that most importers take, and what a target does not take is said."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import ModelProto, parser
from onnxruntime.quantization.shape_inference import quant_pre_process
from reduced_export import reduce_exports

from compress.errors import UsageError
from compress.export import TARGETS, Form, OnnxModel, Order, export_verified, require_parity
from compress.export.inner_graphs import nodes_of
from compress.export.portable import make_portable
from compress.export.target_limits import tensorrt_limits
from compress.runs.export import ExportOptions
from compress.task import Deployable, TaskSpec

Shades = Callable[[bool], tuple[Deployable, TaskSpec]]


def parsed(graph: str) -> ModelProto:
    return parser.parse_model(f'<ir_version: 9, opset_import: ["" : 18]>\n{graph}')


def answered(model: ModelProto, values: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values})[0]


CONSTANTS = {
    "integers": "axes = Constant <value_ints = [1]> () y = ReduceSum (x, axes)",
    "a number": "two = Constant <value_float = 2.0> () y = Mul (x, two)",
    "numbers": "row = Constant <value_floats = [1.0, 2.0, 3.0]> () y = Mul (x, row)",
    "an integer": "one = Constant <value_int = 1> () y = Gather <axis = 1> (x, one)",
    "a tensor": "row = Constant <value = float[3] {1, 2, 3}> () y = Add (x, row)",
    "a shape": "shape = Constant <value_ints = [3, 2]> () y = Reshape <allowzero = 1> (x, shape)",
}


@pytest.mark.parametrize("kind", CONSTANTS)
def test_a_constant_of_any_kind_becomes_a_weight_and_the_answer_stays(kind: str) -> None:
    model = parsed(f"g (float[2, 3] x) => (float[a, b] y) {{ {CONSTANTS[kind]} }}")
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    before = answered(model, values)
    make_portable(model)
    assert len(model.graph.node) == 1
    assert not [a for a in model.graph.node[0].attribute if a.name == "allowzero"]
    assert np.array_equal(answered(model, values), before)


def test_a_shape_with_a_zero_keeps_what_it_says_of_it() -> None:
    model = parsed("g (float[n, 3] x) => (float[a, b] y) { s = Constant <value_ints = [0, 3]> () "
                   "y = Reshape <allowzero = 1> (x, s) }")  # fmt: skip
    make_portable(model)
    assert [a.i for a in model.graph.node[0].attribute if a.name == "allowzero"] == [1]


def test_the_two_names_of_the_onnx_domain_are_imported_once() -> None:
    model = parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 18, "ai.onnx" : 17, "unused" : 1]>\n'
        "g (float[2, 3] x) => (float[2, 3] y) { z = Relu (x) y = ai.onnx.Neg (z) }"
    )
    make_portable(model)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]


@pytest.mark.parametrize("batch", [0, -1, 1025])
def test_a_batch_that_no_file_has_is_refused_before_anything_begins(batch: int) -> None:
    with pytest.raises(UsageError, match=f"`fixed_batch` is {batch}: give 1 to 1024"):
        ExportOptions(fixed_batch=batch)


VARIANTS = [("fp32", "cpu"), ("fp16", "cpu"), ("int8", "cpu"), ("int8", "openvino"), ("int8", "tensorrt")]


@pytest.mark.parametrize(("precision", "target"), VARIANTS)
def test_every_variant_has_weights_for_constants_one_import_and_is_taken_by_onnxruntimes_quantiser(
    precision: str, target: str, shades: Shades, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduce_exports(monkeypatch)
    calibration = torch.randint(256, (32, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    order = Order(precision=precision, target=target, dynamic_size=False, fixed_batch=2)
    facts, results = export_verified(*shades(True), tmp_path / "x.onnx", order, calibration=calibration)
    require_parity(results)
    model = onnx.load(facts.path)
    onnx.checker.check_model(model, full_check=True)
    domains = [entry.domain for entry in model.opset_import]
    assert domains.count("") == len(domains) - len(set(domains) - {""}) == 1
    assert not [node for node in nodes_of(model.graph) if node.op_type == "Constant"]
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == [2, 32, 32]
    quant_pre_process(str(facts.path), str(tmp_path / "prepared.onnx"))
    images = np.random.default_rng(0).random((2, 3, 32, 32), dtype=np.float32)
    answers = [OnnxModel(facts.path).run(images)["classes"]]
    prepared = ort.InferenceSession(tmp_path / "prepared.onnx", providers=["CPUExecutionProvider"])
    answers.append(prepared.run(["classes"], {"images": images})[0])
    assert np.mean(answers[0] == answers[1]) > 0.99


REFUSED = {
    "y = Det (x)": "it has no Det",
    "y = Relu (x)": "",
    's = Constant <value_ints = [4, 6]> () y = Resize <mode = "linear", antialias = 1> (x, , , s)': "antialiasing",
    "q = QuantizeLinear (x, scale, zero) y = DequantizeLinear (q, scale, zero)": "uint8",
}


@pytest.mark.parametrize("graph", REFUSED)
def test_what_tensorrt_has_no_place_for_is_named(graph: str) -> None:
    weights = "float scale = {0.1}, uint8 zero = {3}"
    model = parsed(f"g (float[2, 3] x) => (float[a, b] y) <{weights}> {{ {graph} }}")
    assert REFUSED[graph] in "; ".join(tensorrt_limits(model))
    assert bool(REFUSED[graph]) == bool(tensorrt_limits(model))


def test_tensorrt_is_given_no_file_of_pixels_and_the_card_says_where_others_run(shades: Shades, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tensorrt does not take this file: 8-bit pixels .* without antialiasing"):
        export_verified(*shades(False), tmp_path / "x.onnx", Order(form=Form("uint8"), target="tensorrt"))
    assert not list(tmp_path.iterdir())
    facts, _ = export_verified(*shades(True), tmp_path / "x.onnx", Order(form=Form("float"), target="tensorrt"))
    assert facts.card.fits == OnnxModel(facts.path).card.fits == tuple(TARGETS)


def test_a_file_of_fixed_batch_and_size_declares_both_and_answers_any_number_of_images(
    shades: Shades, tmp_path: Path
) -> None:
    network, spec = shades(True)
    order = Order(dynamic_size=False, fixed_batch=4)
    facts, results = export_verified(network, spec, tmp_path / "x.onnx", order)
    require_parity(results)
    graph = onnx.load(facts.path).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.input, *graph.output)}
    assert shapes == {"images": [4, 3, 32, 32], "classes": [4, 32, 32], "scores": [4, 32, 32]}
    model, images = OnnxModel(facts.path), torch.rand(7, 3, 32, 32)
    assert np.array_equal(model.run(images.numpy())["classes"], network(images).argmax(dim=1).numpy())
    with pytest.raises(UsageError, match="has the fixed batch 4, not 1"):
        model.bound(images[:1].numpy())


def test_class_maps_are_single_bytes_until_there_are_too_many_classes(tmp_path: Path) -> None:
    for classes, dtype in ((256, "uint8"), (257, "int32")):
        network = torch.nn.Conv2d(3, classes, 1)
        network.stride = 1
        spec = TaskSpec(
            name="segmentation", image_shape=(3, 8, 8), class_names=tuple(map(str, range(classes))), metric="miou"
        )
        facts, _ = export_verified(network, spec, tmp_path / "model.onnx", Order(dynamic_size=False))
        assert OnnxModel(facts.path).run(torch.rand(1, 3, 8, 8).numpy())["classes"].dtype == dtype
