"""The gate before a file is handed over: errors that were planted in good files are caught, loud right files pass."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import ModelProto, helper, numpy_helper
from torch import nn

from compress.export import Form, OnnxModel, Order, Parity, check_parity, export_verified, require_parity
from compress.export.comparison_images import IMAGES, ComparisonImages, different, probe_size
from compress.export.parity import shapes_to_check
from compress.export.parity_measures import exchanged
from compress.task import Deployable, TaskSpec

NAMES = ("cat", "dog", "owl", "fox", "bee", "elk", "ant", "hen")


class Small(Deployable):
    """Normalisation, two layers and an up-sampling, in the way of larger networks; as sure as these."""

    stride = 1

    def __init__(self, *, maps: bool) -> None:
        super().__init__()
        self.maps = maps
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))
        self.first, self.last = nn.Conv2d(3, 12, 3, stride=2, padding=1), nn.Conv2d(12, len(NAMES), 1)
        with torch.no_grad():
            self.last.weight.mul_(40)
            self.last.bias.mul_(10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.last(self.first((images - self.mean) / self.std).relu())
        if not self.maps:
            return logits.mean(dim=(2, 3))
        return F.interpolate(logits, size=images.shape[-2:], mode="bilinear")


Good = tuple[Small, TaskSpec, Path]
FORMS = {"float": Form(), "pixels": Form("uint8", "probabilities")}


@pytest.fixture(scope="module", params=[(maps, form) for maps in (False, True) for form in FORMS], ids=str)
def good(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Good:
    """A network, its task and a file that passes, whose mistakes are hidden by probabilities of 1."""
    maps, form = request.param
    torch.manual_seed(4)
    network = Small(maps=maps).eval()
    task = ("segmentation", "miou", 255) if maps else ("classification", "top1", -1)
    spec = TaskSpec(
        name=task[0], image_shape=(3, 12, 12), class_names=NAMES, metric=task[1], ignore_index=task[2], image_size=12
    )
    path = tmp_path_factory.mktemp("good") / "model.onnx"
    facts, results = export_verified(network, spec, path, Order(form=FORMS[form], dynamic_size=False))
    require_parity(results)
    return network, spec, facts.path


def checked(good: Good, file: Path, images: torch.Tensor | None = None) -> list[Parity]:
    network, spec, _ = good
    return check_parity(network, OnnxModel(file), shapes_to_check(spec, dynamic_size=False), images)


def weight(proto: ModelProto, values: torch.Tensor) -> onnx.TensorProto:
    """The weight of the file that holds these values."""
    return next(
        tensor
        for tensor in proto.graph.initializer
        if tensor.dims and np.array_equal(numpy_helper.to_array(tensor).ravel(), values.numpy().ravel())
    )


def put(proto: ModelProto, values: torch.Tensor, changed: torch.Tensor) -> None:
    tensor = weight(proto, values)
    array = changed.contiguous().numpy().reshape(tuple(tensor.dims))
    tensor.CopyFrom(numpy_helper.from_array(array.copy(), tensor.name))


def classes_swapped(proto: ModelProto, network: Small) -> None:
    order = torch.tensor([0, 1, 3, 2, 4, 5, 6, 7])
    for values in (network.last.weight.data, network.last.bias.data):
        put(proto, values, values[order])


def answers_swapped(proto: ModelProto, network: Small) -> None:
    """Behind the network, where its logits are right."""
    order = numpy_helper.from_array(np.array([0, 1, 3, 2, 4, 5, 6, 7]), "order")
    proto.graph.initializer.append(order)
    place = next(i for i, node in enumerate(proto.graph.node) if "network_logits" in node.input)
    for node in proto.graph.node:
        node.input[:] = ["swapped" if name == "network_logits" else name for name in node.input]
    proto.graph.node.insert(place, helper.make_node("Gather", ["network_logits", "order"], ["swapped"], axis=1))


def another_epoch(proto: ModelProto, network: Small) -> None:
    noise = torch.Generator().manual_seed(0)
    values = network.first.weight.data
    put(proto, values, values * (1 + 0.02 * torch.randn(values.shape, generator=noise)))


def another_interpolation(proto: ModelProto, network: Small) -> None:
    for node in proto.graph.node:
        if node.op_type == "Resize":
            (mode,) = (entry for entry in node.attribute if entry.name == "mode")
            mode.s = b"nearest"
            for name in ("antialias", "exclude_outside"):
                for entry in [entry for entry in node.attribute if entry.name == name]:
                    node.attribute.remove(entry)


def aligned_corners(proto: ModelProto, network: Small) -> None:
    for node in proto.graph.node:
        if node.op_type == "Resize":
            for entry in node.attribute:
                if entry.name == "coordinate_transformation_mode":
                    entry.s = b"align_corners"


PLANTED: dict[str, Callable[[ModelProto, Small], None]] = {
    "two classes swapped": classes_swapped,
    "two answers swapped": answers_swapped,
    "1 % of the mean": lambda proto, network: put(proto, network.mean, network.mean * 1.01),
    "1 % of the deviation": lambda proto, network: put(proto, network.std, network.std * 1.01),
    "no bias": lambda proto, network: put(proto, network.last.bias.data, network.last.bias.data * 0),
    "weights of another epoch": another_epoch,
    "BGR": lambda proto, network: put(proto, network.first.weight.data, network.first.weight.data.flip(1)),
}
RESIZED: dict[str, Callable[[ModelProto, Small], None]] = {
    "another interpolation": another_interpolation,
    "aligned corners": aligned_corners,
}


@pytest.mark.parametrize("error", [*PLANTED, *RESIZED])
def test_an_error_that_is_planted_in_a_good_file_is_caught(error: str, good: Good, tmp_path: Path) -> None:
    network, _, path = good
    proto = onnx.load(path)
    if error in RESIZED and not any(node.op_type == "Resize" for node in proto.graph.node):
        pytest.skip("nothing is resized in this file")
    (PLANTED | RESIZED)[error](proto, network)
    onnx.save(proto, tmp_path / "planted.onnx")
    one_class = torch.zeros(5, 3, 12, 12)  # what a folder's first images may be
    assert not all(result.passed for result in checked(good, tmp_path / "planted.onnx", one_class))


def test_what_is_exchanged_is_said_by_name(good: Good, tmp_path: Path) -> None:
    network, _, path = good
    proto = onnx.load(path)
    classes_swapped(proto, network)
    onnx.save(proto, tmp_path / "planted.onnx")
    said = " ".join(str(result) for result in checked(good, tmp_path / "planted.onnx") if not result.passed)
    assert "classes are exchanged: owl has the logits of fox, fox has the logits of owl" in said


def test_fifty_right_files_of_loud_networks_pass(good: Good, tmp_path: Path) -> None:
    network, spec, path = good
    before = {name: value.clone() for name, value in network.state_dict().items()}
    failed, loudest = [], 0.0
    try:
        for seed in range(13):  # of each of four forms
            proto = onnx.load(path)
            noise = torch.Generator().manual_seed(seed)
            for name, parameter in network.named_parameters():
                values = torch.randn(parameter.shape, generator=noise) * (30 if name.startswith("last") else 10)
                put(proto, parameter.data, values)
                parameter.data.copy_(values)
            onnx.save(proto, tmp_path / "loud.onnx")
            failed += [str(result) for result in checked(good, tmp_path / "loud.onnx") if not result.passed]
            path = tmp_path / "loud.onnx"
            with torch.no_grad():
                loudest = max(loudest, network(torch.rand(2, *spec.image_shape)).abs().max().item())
    finally:
        network.load_state_dict(before)
    assert not failed
    assert loudest > 1000


def test_the_images_are_many_and_different_and_as_many_as_there_are_are_the_given_ones() -> None:
    few = torch.rand(1, 3, 16, 16).expand(300, 3, 16, 16)
    many = ComparisonImages((16, 16), few, filled=True)
    assert len(different(many[range(256)])) == len(many) == IMAGES == 256
    assert torch.equal(many[[0]][0], (few[0] * 255).round() / 255)
    assert len(ComparisonImages((16, 16), few, filled=False)) == 1
    assert [len(places) for places in many.batches(1000, 64)] == [3] * 85 + [1]
    ordered = torch.arange(1000.0).view(-1, 1, 1, 1).expand(1000, 3, 16, 16) / 1000
    chosen = ComparisonImages((16, 16), ordered, filled=True)[range(256)]
    assert chosen.amax() > 0.99, "from all of them, not from the first"


def test_large_images_are_compared_small_where_the_network_takes_any_size() -> None:
    assert probe_size((224, 224), dynamic_size=True) == (224, 224)
    assert probe_size((1024, 2048), dynamic_size=False) == (1024, 2048)
    assert probe_size((1024, 2048), dynamic_size=True) == (192, 352)


def test_two_classes_of_a_thousand_are_told_apart_under_the_noise_of_eight_bits() -> None:
    noise = torch.Generator().manual_seed(0)
    expected = torch.randn(256, 1000, generator=noise)
    actual = expected + 0.3 * torch.randn(256, 1000, generator=noise)
    assert exchanged(expected, actual) == []
    assert exchanged(expected, actual[:, [1, 0, *range(2, 1000)]]) == [(0, 1), (1, 0)]
