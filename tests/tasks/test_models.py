"""Networks by name, and weights from outside."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model

from compress.errors import UsageError
from compress.runs.evaluation import parameter_count
from compress.tasks.models import (
    CIFAR_NETWORKS,
    create_model,
    fit_weights,
    read_weights,
    require_image_size,
)
from compress.tasks.models.model_folder import Card, load_model, save_model

# parameters in millions, as the papers print them
PUBLISHED = {
    "cifar_resnet20": 0.27, "cifar_resnet32": 0.46, "cifar_resnet44": 0.66, "cifar_resnet56": 0.85,
    "cifar_resnet18": 11.17, "cifar_resnet34": 21.28, "cifar_vgg11": 9.23, "cifar_wrn_40_2": 2.25,
    "cifar_wrn_40_1": 0.57, "cifar_wrn_16_2": 0.70, "cifar_wrn_16_1": 0.18,
}  # fmt: skip


@pytest.mark.parametrize("name", CIFAR_NETWORKS)
def test_cifar_networks_have_the_published_size_and_shape(name: str) -> None:
    model = create_model("classification", name, 10)
    assert model.eval()(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    assert parameter_count(model) / 1e6 == pytest.approx(PUBLISHED[name], abs=0.011)


@pytest.mark.parametrize(
    ("task", "name", "shape"),
    [
        ("classification", "mobilenetv3_small_100", (1, 7)),
        ("segmentation", "deeplabv3plus:tu-test_resnet", (1, 7, 64, 64)),
        ("segmentation", "unet:mobilenet_v2", (1, 7, 64, 64)),
        ("segmentation", "deeplabv3:tu-resnet10t:4x64", (1, 7, 64, 64)),
        ("segmentation", "torchvision_deeplabv3_mobilenet_v3_large", (1, 7, 64, 64)),
    ],
)
def test_networks_of_other_libraries_come_by_name(task: str, name: str, shape: tuple[int, ...]) -> None:
    assert tuple(require_image_size(create_model(task, name, 7), name, (3, 64, 64))) == shape


@pytest.mark.parametrize(
    ("task", "name", "complaint"),
    [
        ("classification", "resnet43", "did you mean 'resnet34'|did you mean 'resnet4|did you mean 'resnet"),
        ("classification", "cifar_resnet21", "did you mean 'cifar_resnet"),
        ("segmentation", "deeplabv4", "did you mean 'deeplabv3'"),
        ("segmentation", "unet:mobilenetv2", "did you mean 'mobilenet_v2'"),
        ("segmentation", "unet:tu-nosuchnet", "cannot build 'unet:tu-nosuchnet'"),
        ("segmentation", "unet:resnet18:4x64", "the decoder of 'unet' has several widths: leave '4x64' out"),
        ("segmentation", "deeplabv3:resnet18:9x64", "cannot build 'deeplabv3:resnet18:9x64'"),
        ("segmentation", "deeplabv3:resnet18:4x0", "did you mean 'resnet18'"),
        ("segmentation", "deeplabv3:resnet18:wide", "did you mean 'resnet18'"),
        ("segmentation", "torchvision_deeplabv3_resnet5", "did you mean 'torchvision_deeplabv3_resnet50'"),
        ("segmentation", "torchvision_lraspp_mobilenet_v3_large", "did you mean 'torchvision_"),
    ],
)
def test_an_unknown_network_names_the_nearest(task: str, name: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        create_model(task, name, 10)
    assert "\n" not in str(caught.value)


def test_a_segmenter_named_with_its_size_has_so_many_stages_and_channels() -> None:
    small, usual = (create_model("segmentation", f"deeplabv3plus:tu-test_resnet{size}", 4) for size in (":4x64", ""))
    assert small.network.config["encoder_depth"] == 4
    assert small.network.segmentation_head[0].in_channels == 64
    assert usual.network.segmentation_head[0].in_channels == 256


def test_a_size_that_the_network_cannot_take_is_refused_in_one_line() -> None:
    model = create_model("classification", "convnext_atto", 3)
    with pytest.raises(UsageError, match="convnext_atto cannot take 8x8 images") as caught:
        require_image_size(model, "convnext_atto", (3, 8, 8))
    assert "\n" not in str(caught.value)


@torch.no_grad()
def test_a_segmenter_takes_images_of_any_size_as_if_their_border_went_on() -> None:
    model = create_model("segmentation", "fpn:tu-test_resnet", 3).eval()
    images = torch.rand(2, 3, 50, 71, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images, (0, 25, 0, 14), mode="replicate")
    torch.testing.assert_close(model(images), model(padded)[..., :50, :71])
    assert model(images).shape == (2, 3, 50, 71)


def network() -> nn.Module:
    return create_model("classification", "cifar_resnet20", 10).network


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "module", "both", "safetensors"])
def test_weights_load_however_they_are_wrapped(wrap: str, tmp_path: Path) -> None:
    source, target = network(), network()
    state = dict(source.state_dict())
    if wrap in ("module", "both"):
        state = {f"module.{key}": value for key, value in state.items()}
    file = tmp_path / ("w.safetensors" if wrap == "safetensors" else "w.th")
    if wrap == "safetensors":
        save_file(state, file)
    else:
        torch.save({"state_dict": state, "epoch": 3} if wrap in ("state_dict", "both") else state, file)
    fit_weights(target, read_weights(file), "w")
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), target.state_dict().values(), strict=True)
    )


class Evil:
    """What a hostile checkpoint may hold."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("executed",))


def test_a_checkpoint_that_holds_code_is_refused_without_running_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UsageError, match="no weights in"):
        read_weights(tmp_path / "evil.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04broken", b"\x80\x04K\x01."])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_broken_weights_are_one_line(content: bytes, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"broken{suffix}"
    file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_weights(file)
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_is_named() -> None:
    state = dict(network().state_dict())
    del state["conv1.weight"]
    state["extra"] = torch.zeros(1)
    state["linear.weight"] = torch.zeros(100, 64)
    state["bn1.weight"] = torch.full((16,), float("nan"))
    with pytest.raises(UsageError) as caught:
        fit_weights(network(), state, "teacher.pt")
    message = str(caught.value)
    for fragment in (
        "lacks conv1.weight",
        "unknown extra",
        "linear.weight (100x64 in the file, 10x64",
        "NaN or infinity in bn1",
    ):
        assert fragment in message


def test_a_transformer_that_cannot_have_the_size_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match="vit_tiny_patch16_224") as caught:
        require_image_size(
            create_model("classification", "vit_tiny_patch16_224", 4, (8, 8)), "vit_tiny_patch16_224", (3, 8, 8)
        )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("head", ["fc", None])
def test_a_stored_model_of_other_classes_is_refused_not_given_a_random_last_layer(
    tmp_path: Path, head: str | None
) -> None:
    network = create_model("classification", "test_resnet", 10).network
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    origin = {"num_classes": 10, "mean": [0.5] * 3, "std": [0.5] * 3, **({"classifier": head} if head else {})}
    config = {"architecture": "test_resnet", "num_classes": 10, "pretrained_cfg": origin}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert create_model("classification", f"local-dir:{tmp_path}", 10)
    with pytest.raises(UsageError, match=r"has 10 classes and the data has 3|shape torch.Size\(\[10, "):
        create_model("classification", f"local-dir:{tmp_path}", 3)


def test_checkpoints_of_torchvision_fit_and_their_auxiliary_head_is_left_out(tmp_path: Path) -> None:
    name = "deeplabv3_mobilenet_v3_large"
    theirs = get_model(name, weights=None, weights_backbone=None, num_classes=4, aux_loss=True).eval()
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    ours = create_model("segmentation", f"torchvision_{name}", 4).eval()
    fit_weights(ours.network, read_weights(tmp_path / "theirs.pth"), "theirs.pth")
    images = torch.rand(1, 3, 50, 70)
    assert torch.equal(ours(images), theirs(ours.normalised(images))["out"])
    card = Card(
        task="segmentation",
        network=f"torchvision_{name}",
        data="camvid",
        class_names=tuple("abcd"),
        image_shape=(3, 64, 64),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    save_model(tmp_path / "saved", ours, card, "")
    assert json.loads((tmp_path / "saved" / "config.json").read_text()) == {"torchvision": name, "num_classes": 4}
    assert load_model(tmp_path / "saved")[0].network.state_dict().keys() == ours.network.state_dict().keys()
