"""Small networks with statistics of their own, and files written from them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bundles import Bundled
from onnx import ModelProto
from torch import nn

from compress.errors import UsageError
from compress.export import export_verified, verified_export, writer
from compress.export.web_runtime import WebRuntime, web_runtime
from compress.task import Deployable, TaskSpec
from compress.tasks.data import open_data
from compress.tasks.models import create_model

CASES = {
    "classifier": ("classification", "cifar_resnet20"),
    "timm classifier": ("classification", "mobilenetv3_small_050"),
    "segmenter": ("segmentation", "deeplabv3plus:tu-test_resnet"),
}


class OneSize(Deployable):
    """A network that only takes the traced size."""

    stride = 1

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 32 * 32, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.linear(images.flatten(1))


class Shades(Deployable):
    """Three classes by colour, at every position or of the image: quick to export, and nothing is near a tie."""

    stride = 1

    def __init__(self, *, positions: bool) -> None:
        super().__init__()
        self.positions = positions
        self.weigh = nn.Conv2d(3, 3, 3, padding=1)
        with torch.no_grad():
            self.weigh.weight.copy_(4 * torch.eye(3).view(3, 3, 1, 1) * torch.ones(3, 3) / 9)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.weigh(images)
        return logits if self.positions else logits.mean(dim=(2, 3))


class Residual(Deployable):
    """A block whose input is added to its output."""

    stride = 1

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 3, 1)
        self.block = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.first(images).relu()
        return self.last((features + self.block(features)).relu())


@pytest.fixture(scope="session")
def residual() -> ModelProto:
    """The graph of such a network for images of 16x16 pixels and three classes."""
    names, palette = ("a", "b", "c"), ((0, 0, 0),) * 3
    spec = TaskSpec(name="segmentation", image_shape=(3, 16, 16), class_names=names, metric="miou", palette=palette)
    return writer.exported(Residual().eval(), spec)


@pytest.fixture(scope="session")
def shades() -> Callable[[bool], tuple[Deployable, TaskSpec]]:
    """`shades(maps)`: the network, of label maps or of labels, and its task."""

    def make(maps: bool) -> tuple[Deployable, TaskSpec]:
        names, palette = ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255))
        spec = TaskSpec(
            name="segmentation",
            image_shape=(3, 32, 32),
            class_names=names,
            metric="miou",
            palette=palette,
            image_size=32,
        )
        if not maps:
            spec = TaskSpec(
                name="classification",
                image_shape=(3, 32, 32),
                class_names=names,
                metric="top1",
                ignore_index=-1,
                image_size=32,
            )
        return Shades(positions=maps).eval(), spec

    return make


@pytest.fixture
def one_size() -> Callable[[], Deployable]:
    """New networks of random weights that take one size."""
    return OneSize


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


@pytest.fixture(scope="session", params=CASES, ids=list(CASES))
def network(request: pytest.FixtureRequest) -> tuple[Deployable, TaskSpec]:
    """One of three networks of the embedded data, and its task."""
    from compress.runs.models import card_of

    task, name = CASES[request.param]
    source = open_data(None, task)
    torch.manual_seed(0)
    model = create_model(task, name, len(source.class_names))
    spec = card_of(name, source, model).spec
    return perturbed(model, spec), spec


@pytest.fixture(scope="session")
def exported(
    network: tuple[Deployable, TaskSpec], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Deployable, TaskSpec, Path]:
    """A network and the file written from it."""
    facts, results = export_verified(*network, tmp_path_factory.mktemp("onnx") / "model.onnx")
    assert all(result.passed for result in results), [str(result) for result in results]
    return *network, facts.path


@pytest.fixture(scope="session")
def runtime() -> WebRuntime | str:
    """ONNX Runtime Web, where it is installed or npm has downloaded it before; otherwise why it cannot be had."""
    try:
        return web_runtime(fetch=True)
    except UsageError as error:
        return str(error)


@pytest.fixture(scope="session")
def bundles(
    shades: Callable[[bool], tuple[Deployable, TaskSpec]],
    runtime: WebRuntime | str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundled:
    """Bundles of the quick networks by their form; with a page where there is a runtime for it."""
    return Bundled(shades, tmp_path_factory.mktemp("bundles"), runtime)


@pytest.fixture
def with_page(bundles: Bundled) -> Bundled:
    """Bundles with a page, where its runtime is installed."""
    if isinstance(bundles.runtime, str):
        pytest.skip(bundles.runtime)
    return bundles


@pytest.fixture
def traced_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every export traces its network, as users' do."""
    monkeypatch.setattr(verified_export, "exported", writer.exported)
