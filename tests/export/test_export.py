"""The ONNX file is one file, says what it is, leaks nothing, and does what the model does."""

import json
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from compress.errors import GateError, UsageError
from compress.export import OnnxModel, check_parity, export_verified, require_parity, write_onnx
from compress.export.parity import shapes_to_check
from compress.task import Deployable, TaskSpec
from compress.tasks import make_task
from compress.tasks.data import open_data
from compress.tasks.models import create_model

CASES = {
    "classifier": ("classification", "cifar_resnet20"),
    "timm classifier": ("classification", "mobilenetv3_small_050"),
    "segmenter": ("segmentation", "deeplabv3plus:tu-test_resnet"),
}
Exported = tuple[nn.Module, TaskSpec, Path, bool]


def perturbed(model: nn.Module, spec: TaskSpec) -> nn.Module:
    """With default statistics a broken fusion of batch normalisation is invisible."""
    noise = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.weight.data = 0.5 + torch.rand(module.weight.shape, generator=noise)
            module.bias.data = 0.2 * torch.randn(module.bias.shape, generator=noise)
    with torch.no_grad():
        for _ in range(30):
            model.train()(torch.rand(8, *spec.image_shape, generator=noise))
    return model.eval()


@pytest.fixture(scope="module", params=CASES, ids=list(CASES))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A deployable module and the file written from it."""
    task_name, name = CASES[request.param]
    source = open_data(None, task_name)
    task = make_task(source, nn.Identity, nn.Identity)
    model = create_model(task_name, name, len(source.class_names))
    deployable = task.deployable(perturbed(model, task.spec))
    facts = write_onnx(deployable, task.spec, tmp_path_factory.mktemp("onnx") / "model.onnx")
    return deployable, task.spec, facts.path, facts.dynamic_size


def test_the_file_agrees_with_torch_at_every_shape_traced_or_not(exported: Exported) -> None:
    deployable, spec, path, dynamic = exported
    results = check_parity(deployable, OnnxModel(path), shapes_to_check(spec, dynamic_size=dynamic))
    assert dynamic
    assert len(results) == 4
    require_parity(results)


def test_the_file_stands_alone_and_says_what_it_is(exported: Exported) -> None:
    _, spec, path, _ = exported
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.opset_import[0].version >= 18
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert metadata["task"] == spec.name
    assert json.loads(metadata["class_names"]) == list(spec.class_names)
    assert metadata["input_range"] == "[0, 1]"
    assert json.loads(metadata["versions"])["torch"].startswith(torch.__version__.split("+")[0])
    axes = [dim.dim_param or dim.dim_value for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    assert axes == ["batch", 3, "height", "width"]


def test_the_file_holds_no_path_of_this_machine_and_no_source_line(exported: Exported) -> None:
    proto = onnx.load(exported[2])
    for tensor in proto.graph.initializer:
        tensor.ClearField("raw_data")  # among millions of weights three given bytes turn up by chance
    content = proto.SerializeToString()
    for leak in (str(Path.home()), str(Path(torch.__file__).parent), ".py", "stack_trace", "site-packages"):
        assert leak.encode() not in content


def test_a_segmenter_takes_sizes_that_are_no_multiple_of_its_stride(tmp_path: Path) -> None:
    source = open_data("digit-scenes", "segmentation")
    task = make_task(source, nn.Identity, nn.Identity)
    deployable = task.deployable(create_model("segmentation", "deeplabv3plus:tu-test_resnet", 11).eval())
    write_onnx(deployable, task.spec, tmp_path / "model.onnx")
    (result,) = check_parity(deployable, OnnxModel(tmp_path / "model.onnx"), [(2, 3, 101, 75)])
    assert result.passed
    assert OnnxModel(tmp_path / "model.onnx").run(torch.rand(1, 3, 101, 75))["classes"].shape == (1, 101, 75)


def test_parity_notices_a_file_of_another_model(tmp_path: Path) -> None:
    source = open_data("digits", "classification")
    task = make_task(source, nn.Identity, nn.Identity)
    one, other = (task.deployable(create_model("classification", "cifar_resnet20", 10).eval()) for _ in range(2))
    write_onnx(one, task.spec, tmp_path / "model.onnx")
    results = check_parity(other, OnnxModel(tmp_path / "model.onnx"), shapes_to_check(task.spec, dynamic_size=True))
    with pytest.raises(GateError, match="does not do what the model does"):
        require_parity(results)


class OneSize(Deployable):
    """A network that only takes the traced size."""

    output_names = ("probabilities", "classes")

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 32 * 32, 10)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        probabilities = self.linear(images.flatten(1)).softmax(1)
        return probabilities, probabilities.argmax(1)


def test_a_network_of_fixed_size_is_exported_at_that_size_with_the_reason(tmp_path: Path) -> None:
    spec = TaskSpec("classification", (3, 32, 32), tuple("0123456789"), "top1")
    model = OneSize()
    facts, results = export_verified(model, spec, tmp_path / "model.onnx")
    require_parity(results)
    assert len(results) == 3
    assert not facts.dynamic_size
    assert facts.reason


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    spec = TaskSpec("classification", (3, 32, 32), tuple("0123456789"), "top1")
    model = OneSize()
    files = [write_onnx(model, spec, tmp_path / f"{n}.onnx", dynamic_size=False).path.read_bytes() for n in range(2)]
    assert files[0] == files[1]


@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_a_broken_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(content)
    with pytest.raises(UsageError, match="onnxruntime cannot load") as caught:
        OnnxModel(tmp_path / "broken.onnx")
    assert "\n" not in str(caught.value)


def test_a_file_without_metadata_is_refused_with_the_reason(tmp_path: Path) -> None:
    x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(UsageError, match="does not say its task"):
        OnnxModel(tmp_path / "foreign.onnx")
