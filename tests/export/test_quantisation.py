"""INT8 and fp16 keep the network's decisions, and layers that suffer stay as they were."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from compress.errors import GateError, UsageError
from compress.export import TARGETS, Converted, Order, Source, export_verified, require_parity
from compress.export.calibration import activation_ranges
from compress.export.quantisation import Attempt, search, to_int8
from compress.export.quantised_graph import RANGED, NetworkToQuantise
from compress.export.sensitivity import layer_errors
from compress.export.tolerance import INT8
from compress.export.writer import exported
from compress.task import Deployable, TaskSpec

SPEC = TaskSpec(
    name="segmentation", image_shape=(3, 16, 16), class_names=("a", "b", "c"), metric="miou", palette=((0, 0, 0),) * 3
)


class Plain(Deployable):
    """Four convolutions; the third one's outputs reach `outlier` times further in a single channel."""

    stride = 1

    def __init__(self, outlier: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.before = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1), nn.ReLU())
        self.spread, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 1)
        with torch.no_grad():
            for layer in self.before[::2]:
                layer.weight.copy_(torch.eye(3).view(3, 3, 1, 1))
            self.spread.weight[0] *= outlier
            self.last.weight[:, 0] /= outlier
            self.last.bias -= self(torch.from_numpy(images())).mean(dim=(0, 2, 3))  # all classes occur

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.spread(self.before(images)).relu())


def images(count: int = 48) -> np.ndarray:
    return torch.rand(count, *SPEC.image_shape, generator=torch.Generator().manual_seed(1)).numpy()


@cache
def network(outlier: float = 1.0) -> onnx.ModelProto:
    return exported(Plain(outlier).eval(), SPEC)


def in_int8(target: str = "cpu", outlier: float = 1.0, least_saved: float = 0.0) -> Converted:
    source = Source(network=network(outlier), images=images(), target=TARGETS[target], least_saved=least_saved)
    return to_int8(source)


def prepared(target: str, outlier: float = 1.0) -> NetworkToQuantise:
    ranges = activation_ranges(network(outlier), images(), RANGED)
    return NetworkToQuantise(network=network(outlier), ranges=ranges, scheme=TARGETS[target].scheme)


def weights_of(converted: Converted) -> dict[str, np.ndarray]:
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in converted.network.graph.initializer}


def test_multiplications_become_integer_and_weights_have_a_scale_a_channel() -> None:
    result = in_int8()
    operators = [node.op_type for node in result.network.graph.node]
    assert operators.count("QuantizeLinear") >= 2
    scales = weights_of(result)
    assert scales["weight_0_scale"].shape == (3,)
    assert scales["images_scale"].shape == ()
    assert "INT8 keeps 100.00%" in result.said


def test_weights_leave_a_bit_free_so_that_no_processor_overflows() -> None:
    quantised = [weight for name, weight in weights_of(in_int8()).items() if name.endswith("_quantized")]
    kernels = [weight.astype(int) for weight in quantised if weight.dtype == np.int8]
    assert kernels
    assert max(abs(kernel).max() for kernel in kernels) == 64


def test_what_a_bound_cuts_off_takes_no_part_of_the_range() -> None:
    operators = {node.name: node for node in in_int8().network.graph.node}
    relus = [node for node in operators.values() if node.op_type == "Relu"]
    readers = [node.op_type for node in operators.values() for relu in relus if relu.output[0] in node.input]
    assert readers == ["QuantizeLinear"] * len(relus)
    makers = {name: node for node in operators.values() for name in node.output}
    assert {makers[relu.input[0]].op_type for relu in relus} == {"Conv"}


def test_tensorrt_gets_signed_symmetric_activations_and_biases_in_float32() -> None:
    result = in_int8("tensorrt")
    assert TARGETS["tensorrt"].limits(result.network) == []
    assert TARGETS["tensorrt"].limits(in_int8().network) != []
    weights = weights_of(result)
    zeros = [weight for name, weight in weights.items() if name.endswith("_zero_point")]
    assert {zero.dtype for zero in zeros} == {np.dtype(np.int8)}
    assert not any(zero.any() for zero in zeros)
    for node in result.network.graph.node:
        if node.op_type == "Conv":
            assert weights[node.input[2]].dtype == np.float32


@pytest.mark.parametrize(
    ("target", "added"), [("openvino", {"Conv", "DequantizeLinear"}), ("cpu", {"DequantizeLinear"})]
)
def test_openvino_gets_no_pair_where_it_would_not_round_by_it(
    target: str, added: set[str], residual: onnx.ModelProto
) -> None:
    graph = to_int8(Source(network=residual, images=images(), target=TARGETS[target])).network.graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    (addition,) = (node for node in graph.node if node.op_type == "Add")
    assert {makers[name] for name in addition.input} == added


def test_layers_that_ruin_decisions_go_back_to_float_the_worst_first() -> None:
    result = in_int8(outlier=3000.0)
    assert 1 <= len(result.kept_float) <= 2
    assert "are in INT8" in result.said


def test_a_layer_whose_small_channels_are_lost_is_the_most_sensitive() -> None:
    quantised = prepared("cpu", outlier=3000.0)
    errors = layer_errors(quantised, images())
    *rest, last = (errors[layer].noise for layer in quantised.layers)
    assert last > 0.5
    assert max(rest) < 0.01


def test_biases_make_up_for_the_mean_error_of_rounding() -> None:
    quantised = prepared("tensorrt")
    shifts = {layer: error.shift for layer, error in layer_errors(quantised, images()).items()}
    left = layer_errors(replace(quantised, corrections=shifts), images())
    for layer, shift in shifts.items():
        assert np.abs(left[layer].shift).max() < 0.2 * np.abs(shift).max()


@pytest.mark.parametrize("enough", range(40))
def test_the_fewest_layers_that_suffice_are_searched_for_in_few_attempts(enough: int) -> None:
    attempts = list[int]()

    def attempt(count: int) -> Attempt:
        attempts.append(count)
        return Attempt(
            model=onnx.ModelProto(), decisions=1.0 if count >= enough else 0.5, kept_float=("layer",) * count
        )

    assert len(search(attempt, most=39).kept_float) == enough
    assert len(attempts) <= 13


def test_a_search_ends_where_nothing_would_be_saved() -> None:
    with pytest.raises(GateError, match=r"keeps 50\.0% of the decisions with 3 layers in float32"):
        search(lambda count: Attempt(model=onnx.ModelProto(), decisions=0.5, kept_float=()), most=3)


def test_a_file_in_int8_that_saves_too_little_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    order = Order(precision="int8", least_saved=0.95)
    calibration = torch.from_numpy(images() * 255).round().to(torch.uint8)
    with pytest.raises(GateError, match=r"int8 saves too little: .* MB instead of .* 95% of one of them are required"):
        export_verified(Plain().eval(), SPEC, tmp_path / "model.onnx", order, calibration=calibration)
    assert not list(tmp_path.iterdir())


def test_a_network_in_which_too_little_could_be_made_integer_is_refused() -> None:
    with pytest.raises(
        GateError, match=r"with 0 layers in float32, 99% are required and more .* would save too little"
    ):
        in_int8(outlier=3000.0, least_saved=0.9)


def test_a_near_tie_that_falls_the_other_way_is_no_lost_decision() -> None:
    logits = torch.tensor([[2.0, 1.9, -3.0], [4.0, 0.0, 0.0]])
    assert INT8.kept(logits, torch.tensor([1, 0])) == 1.0
    assert INT8.kept(logits, torch.tensor([2, 1])) == 0.0
    assert INT8.kept(logits, torch.tensor([1, 2])) == 0.5


def test_the_file_in_int8_is_smaller_and_keeps_decisions(tmp_path: Path) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 3, 1)
    )
    network.stride = 1
    calibration = torch.from_numpy(images() * 255).round().to(torch.uint8)
    sizes = {}
    for precision in ("fp32", "fp16", "int8"):
        facts, results = export_verified(
            network.eval(), SPEC, tmp_path / f"{precision}.onnx", Order(precision=precision), calibration=calibration
        )
        require_parity(results)
        sizes[precision] = facts.path.stat().st_size
    assert sizes["int8"] < 0.4 * sizes["fp32"]
    assert sizes["fp16"] < 0.6 * sizes["fp32"]


@pytest.mark.parametrize("given", [None, torch.zeros(1, 3, 16, 16, dtype=torch.uint8)], ids=["none", "one"])
def test_int8_without_images_to_calibrate_on_is_refused(given: torch.Tensor | None, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="INT8 needs calibration images"):
        export_verified(Plain().eval(), SPEC, tmp_path / "model.onnx", Order(precision="int8"), calibration=given)
    assert not list(tmp_path.iterdir())


def test_half_precision_takes_and_gives_float32(tmp_path: Path) -> None:
    facts, _ = export_verified(Plain().eval(), SPEC, tmp_path / "model.onnx", Order(precision="fp16"))
    proto = onnx.load(facts.path)
    onnx.checker.check_model(proto, full_check=True)
    types = {tensor.data_type for tensor in proto.graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types
    assert proto.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert proto.graph.output[1].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
