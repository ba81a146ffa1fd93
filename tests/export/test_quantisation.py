"""INT8 and fp16 keep the network's decisions, and layers that suffer stay as they were."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from compress.errors import GateError, UsageError
from compress.export import Order, export_verified, require_parity
from compress.export.quantisation import ALLOWED, quantised
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


def test_multiplications_become_integer_and_weights_have_a_scale_a_channel() -> None:
    result = quantised(exported(Plain().eval(), SPEC), images(), images())
    operators = [node.op_type for node in result.model.graph.node]
    assert operators.count("QuantizeLinear") >= 2
    scales = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in result.model.graph.initializer}
    assert scales["weight_0_scale"].shape == (3,)
    assert scales["images_scale"].shape == ()
    assert result.decisions >= ALLOWED.decisions


def test_weights_leave_a_bit_free_so_that_no_processor_overflows() -> None:
    graph = quantised(exported(Plain().eval(), SPEC), images(), images()).model.graph
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name.endswith("_quantized")]
    kernels = [tensor.astype(int) for tensor in weights if tensor.dtype == np.int8]
    assert kernels
    assert max(abs(kernel).max() for kernel in kernels) == 64


def test_layers_that_ruin_decisions_go_back_to_float_the_worst_first() -> None:
    result = quantised(exported(Plain(outlier=3000.0).eval(), SPEC), images(), images())
    assert 1 <= len(result.kept_float) <= 2
    assert result.decisions >= ALLOWED.decisions


def test_a_network_of_which_nothing_can_be_made_integer_is_refused() -> None:
    class Worst(Plain):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.last(self.spread(images))

    with pytest.raises(GateError, match="layers in float32"):
        quantised(exported(Worst(outlier=30000.0).eval(), SPEC), images(), images())


def test_a_near_tie_that_falls_the_other_way_is_no_lost_decision() -> None:
    logits = torch.tensor([[2.0, 1.9, -3.0], [4.0, 0.0, 0.0]])
    assert ALLOWED.kept(logits, torch.tensor([1, 0])) == 1.0
    assert ALLOWED.kept(logits, torch.tensor([2, 1])) == 0.0
    assert ALLOWED.kept(logits, torch.tensor([1, 2])) == 0.5


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
