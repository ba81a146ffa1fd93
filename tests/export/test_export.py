"""The ONNX file is one file, says what it is, leaks nothing, and does what the model does."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from timm.models.beit import Beit

from compress.errors import CompressError, GateError, UsageError
from compress.export import FileCard, Form, OnnxModel, Order, check_parity, export_verified, require_parity
from compress.export.parity import check_shapes, shapes_to_check
from compress.task import Deployable, TaskSpec
from compress.tasks.models import NormalisedModel

Exported = tuple[Deployable, TaskSpec, Path]
OneSize = Callable[[], Deployable]
Shades = Callable[[bool], tuple[Deployable, TaskSpec]]
INSIDE = ["network", "file", "answers"]
"""What is compared on many images, after the shapes."""
DIGITS = TaskSpec(name="classification", image_shape=(3, 32, 32), class_names=tuple("0123456789"), metric="top1")


def test_the_file_agrees_with_torch_at_every_shape_traced_or_not(exported: Exported) -> None:
    network, spec, path = exported
    model = OnnxModel(path)
    assert model.card.dynamic_size
    results = check_parity(network, model, shapes_to_check(spec, dynamic_size=True))
    assert [result.part for result in results] == ["file"] * 5 + INSIDE
    require_parity(results)


def test_the_file_stands_alone_and_says_what_it_is(exported: Exported) -> None:
    _, spec, path = exported
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.opset_import[0].version == 18
    entries = {entry.key: entry.value for entry in proto.metadata_props}
    assert entries["Image.BitmapPixelFormat"] == "Rgb8"
    assert entries["Image.NominalPixelRange"] == "Normalized_0_1"
    assert json.loads(entries["names"]) == {str(index): name for index, name in enumerate(spec.class_names)}
    assert json.loads(entries["imgsz"]) == list(spec.image_shape[1:])
    card = FileCard.read(entries)
    assert (card.task, card.class_names, card.palette) == (spec.name, spec.class_names, spec.palette)
    assert card.versions["torch"].startswith(torch.__version__.split("+")[0])
    axes = [dim.dim_param or dim.dim_value for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    assert axes == ["batch", 3, "height", "width"]


def test_the_file_holds_no_path_of_this_machine_and_no_source_line(exported: Exported) -> None:
    proto = onnx.load(exported[2])
    for tensor in proto.graph.initializer:
        tensor.ClearField("raw_data")  # among millions of weights three given bytes turn up by chance
    content = proto.SerializeToString()
    for leak in (str(Path.home()), str(Path(torch.__file__).parent), ".py", "stack_trace", "site-packages"):
        assert leak.encode() not in content


def test_where_it_comes_from_is_in_the_file(one_size: OneSize, tmp_path: Path) -> None:
    origin = {"teacher": "resnet34", "metrics": {"top1": 0.9}}
    facts, _ = export_verified(one_size(), DIGITS, tmp_path / "model.onnx", Order(dynamic_size=False, origin=origin))
    assert OnnxModel(facts.path).card.origin == origin


def test_parity_notices_a_file_of_another_model(one_size: OneSize, tmp_path: Path) -> None:
    one, other = one_size(), one_size()
    facts, _ = export_verified(one, DIGITS, tmp_path / "model.onnx", Order(dynamic_size=False))
    results = check_parity(other, OnnxModel(facts.path), shapes_to_check(DIGITS, dynamic_size=False))
    with pytest.raises(GateError, match="differs from the model"):
        require_parity(results)


def test_a_file_is_not_blamed_for_what_torch_itself_rounds_but_for_anything_more(
    one_size: OneSize, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    loud, another = one_size(), one_size()
    with torch.no_grad():
        for network in (loud, another):
            for weight in network.parameters():
                weight.add_(10)  # of all classes alike: logits near 15,000, where float32 has steps of 0.001
    facts, results = export_verified(loud, DIGITS, tmp_path / "model.onnx", Order(dynamic_size=False))
    require_parity(results)
    rounded = [result for result in results if result.rounding and result.part == "file"]
    assert rounded
    assert all("torch itself rounds by" in str(result) for result in rounded)
    assert all(result.largest < 3 * result.rounding for result in rounded)
    others = check_shapes(another, OnnxModel(facts.path), shapes_to_check(DIGITS, dynamic_size=False))
    assert not any(result.passed for result in others)
    assert all(result.rounding < result.largest / 5 for result in others)


class InFloat32(torch.nn.Linear):
    """A layer that takes no other numbers, whatever the network is made of."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images.float())


def test_a_network_that_cannot_be_run_in_float64_gets_no_allowance(one_size: OneSize, tmp_path: Path) -> None:
    one, other = one_size(), one_size()
    facts, _ = export_verified(one, DIGITS, tmp_path / "model.onnx", Order(dynamic_size=False))
    other.linear = InFloat32(3 * 32 * 32, 10)
    results = check_parity(other, OnnxModel(facts.path), shapes_to_check(DIGITS, dynamic_size=False))
    assert [(result.passed, result.rounding) for result in results[:4]] == [(False, 0.0)] * 4


def test_a_network_of_fixed_size_is_exported_at_that_size_with_the_reason(one_size: OneSize, tmp_path: Path) -> None:
    facts, results = export_verified(one_size(), DIGITS, tmp_path / "model.onnx")
    require_parity(results)
    assert [result.part for result in results] == ["file"] * 3 + INSIDE
    assert not facts.card.dynamic_size
    assert facts.reason


class WrongElsewhere(Deployable):
    """Adaptive pooling, whose indices the exporter takes from the traced size without a word."""

    stride = 1

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.last = torch.nn.AdaptiveAvgPool2d(2), torch.nn.Conv2d(3, 4, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.interpolate(self.last(self.pool(images)), images.shape[-2:])


def test_a_file_that_is_wrong_at_other_sizes_is_written_for_one_size(tmp_path: Path) -> None:
    spec = TaskSpec(
        name="segmentation", image_shape=(3, 30, 30), class_names=tuple("abcd"), metric="miou", palette=((0, 0, 0),) * 4
    )
    facts, results = export_verified(WrongElsewhere(), spec, tmp_path / "model.onnx")
    require_parity(results)
    assert not facts.card.dynamic_size
    assert "62x94" in facts.reason or "export" in facts.reason


class Windowed(Deployable):
    """Means over windows of 5x5, and padding to whole windows where the size asks for it."""

    stride = 1

    def __init__(self) -> None:
        super().__init__()
        self.mix = torch.nn.Conv2d(3, 4, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        height, width = images.shape[-2:]
        below, right = -height % 5, -width % 5
        if below > 0 or right > 0:
            images = torch.nn.functional.pad(images, (0, right, 0, below))
        return self.mix(torch.nn.functional.avg_pool2d(images, 5)).mean(dim=(2, 3))


def test_a_network_that_pads_only_where_it_must_is_right_at_every_size(tmp_path: Path) -> None:
    spec = TaskSpec(name="classification", image_shape=(3, 30, 30), class_names=tuple("abcd"), metric="top1")
    facts, results = export_verified(Windowed(), spec, tmp_path / "model.onnx")
    require_parity(results)
    assert facts.card.dynamic_size, facts.reason


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_same_model_gives_the_same_bytes(precision: str, shades: Shades, traced_anew: None, tmp_path: Path) -> None:
    network, spec = shades(True)
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    files = []
    for number in range(2):
        order = Order(precision=precision)
        facts, _ = export_verified(network, spec, tmp_path / f"{number}.onnx", order, calibration=images)
        files.append(facts.path.read_bytes())
    assert files[0] == files[1]


def test_an_opset_below_the_exporters_is_refused_and_leaves_nothing(one_size: OneSize, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="opset 17 is below 18"):
        export_verified(one_size(), DIGITS, tmp_path / "model.onnx", Order(opset=17))
    assert not list(tmp_path.iterdir())


def test_a_later_opset_is_what_the_file_has(one_size: OneSize, tmp_path: Path) -> None:
    facts, results = export_verified(one_size(), DIGITS, tmp_path / "model.onnx", Order(opset=20, dynamic_size=False))
    require_parity(results)
    assert onnx.load(facts.path).opset_import[0].version == 20


class Refused(Deployable):
    """Control flow that hangs on the values of an image, which no tracer can follow."""

    stride = 1

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3)) if images.sum() > 0 else -images.mean(dim=(2, 3))


def test_a_network_that_torch_cannot_export_is_one_line(shades: Shades, tmp_path: Path) -> None:
    with pytest.raises(CompressError, match="torch cannot export this network") as caught:
        export_verified(Refused(), shades(False)[1], tmp_path / "model.onnx")
    assert "data-dependent" in str(caught.value), "the reason, not torch's advice on whom to tell"
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_attention_that_torch_cannot_take_apart_is_exported_and_left_as_it_was(tmp_path: Path) -> None:
    network = Beit(
        img_size=32, patch_size=16, embed_dim=24, depth=1, num_heads=2, use_rel_pos_bias=True, num_classes=10
    )
    network.blocks[0].attn.fused_attn = True  # timm asks the environment
    facts, results = export_verified(NormalisedModel(network), DIGITS, tmp_path / "model.onnx")
    require_parity(results)
    assert not facts.card.dynamic_size
    assert network.blocks[0].attn.fused_attn


@pytest.mark.parametrize("positions", [False, True], ids=["labels", "maps"])
@pytest.mark.parametrize("output", ["logits", "probabilities", "decision"])
@pytest.mark.parametrize("input", ["float", "uint8"])
def test_every_form_answers_as_torch_does_on_images_of_every_size(
    input: str, output: str, positions: bool, shades: Shades, tmp_path: Path
) -> None:
    network, spec = shades(positions)
    facts, results = export_verified(network, spec, tmp_path / "model.onnx", Order(form=Form(input, output)))
    require_parity(results)
    proto = onnx.load(facts.path)
    assert tuple(value.name for value in proto.graph.output) == Form(input, output).output_names
    assert [value.name for value in proto.graph.input] == ["images" if input == "float" else "pixels"]
    assert "Constant" not in {node.op_type for node in proto.graph.node}
    assert [entry.domain for entry in proto.opset_import] == [""]
    for value in proto.graph.output:
        shape = [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]
        assert shape[0] == "batch"
        assert shape[1:] == (["height", "width"] if positions else []) or shape[1] == 3


def test_a_network_of_one_size_takes_pixels_of_every_size(shades: Shades, tmp_path: Path) -> None:
    order = Order(form=Form("uint8"), dynamic_size=False)
    facts, results = export_verified(*shades(True), tmp_path / "model.onnx", order)
    assert [result.part for result in results] == ["file"] * 5 + [*INSIDE, "preprocessing"]
    require_parity(results)
    assert not facts.card.dynamic_size
