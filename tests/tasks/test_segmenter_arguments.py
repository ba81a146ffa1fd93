"""Segmenters of SMP as people make them: what their files tell is taken, what they do not tell is asked for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from compress.data_settings import HeldOutSettings, ModelSettings
from compress.errors import UsageError
from compress.runs.opening import open_model
from compress.runs.reading import teacher_of
from compress.tasks.models.binary import bare
from compress.tasks.models.constructor_arguments import parsed
from compress.teacher import Teacher

ENCODER = "tu-test_resnet"
SIDE = 64
Complaint = Callable[[Callable[[], object]], str]


def made(architecture: str, classes: int = 3, **arguments: Any) -> nn.Module:
    """SMP's own network with random weights, and the statistics of noise, so that its logits depend on the image."""
    torch.manual_seed(0)
    arguments = {"encoder_name": ENCODER, "encoder_weights": None, "classes": classes, **arguments}
    network = smp.create_model(architecture, **arguments)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randn(2, arguments.get("in_channels", 3), SIDE, SIDE))
    return network.eval()


def saved(network: nn.Module, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    torch.save(network.state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


def opened(place: Path, teacher: str | None = None, *arguments: str, **settings: Any) -> nn.Module:
    chosen = ModelSettings(teacher=teacher, teacher_args=arguments, image_size=SIDE, **settings)
    return open_model(place, chosen)[0]


@torch.no_grad()
def require_same_logits(model: nn.Module, network: nn.Module) -> None:
    images = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    theirs: Tensor | tuple[Tensor, ...] = network(model.normalised(images))
    logits = theirs[0] if isinstance(theirs, tuple) else theirs
    torch.testing.assert_close(model(images), logits, atol=1e-4, rtol=1e-4)


TOLD_BY_WEIGHTS: dict[str, tuple[str, dict[str, Any]]] = {
    "depth, attention and channels": (
        "unet",
        {"decoder_attention_type": "scse", "encoder_depth": 4, "decoder_channels": (64, 48, 32, 16)},
    ),
    "no normalisation": ("linknet", {"decoder_use_norm": False}),
    "two widths and how they are merged": (
        "fpn",
        {"decoder_pyramid_channels": 48, "decoder_segmentation_channels": 32, "decoder_merge_policy": "cat"},
    ),
    "one width": ("pspnet", {"psp_out_channels": 64}),
    "a width of attention": ("manet", {"decoder_pab_channels": 32}),
    "a head beside": ("unet", {"aux_params": {"classes": 5}}),
}


@pytest.mark.parametrize("case", TOLD_BY_WEIGHTS)
def test_names_and_shapes_of_weights_tell_how_a_segmenter_was_made(case: str, tmp_path: Path) -> None:
    architecture, arguments = TOLD_BY_WEIGHTS[case]
    network = made(architecture, **arguments)
    require_same_logits(opened(saved(network, tmp_path), f"{architecture}:{ENCODER}"), network)


@pytest.mark.parametrize(("architecture", "usual", "other"), [("deeplabv3", 8, 16), ("deeplabv3plus", 16, 8)])
def test_an_output_stride_is_asked_for_since_no_shape_tells_it(
    architecture: str, usual: int, other: int, tmp_path: Path
) -> None:
    network = made(architecture, encoder_output_stride=other)
    file, name = saved(network, tmp_path), f"{architecture}:{ENCODER}"
    with pytest.raises(UsageError, match=rf"and their outputs differ.*`teacher_args` encoder_output_stride={usual}"):
        opened(file, name)
    require_same_logits(opened(file, name, f"encoder_output_stride={other}"), network)
    with pytest.raises(AssertionError):
        require_same_logits(opened(file, name, f"encoder_output_stride={usual}"), network)


def test_channels_are_told_beside_a_stride_that_is_said(tmp_path: Path) -> None:
    network = made("deeplabv3", encoder_output_stride=16, decoder_channels=48, decoder_atrous_rates=(6, 12, 18))
    said = ("encoder_output_stride=16", "decoder_atrous_rates=6,12,18")
    require_same_logits(opened(saved(network, tmp_path), f"deeplabv3:{ENCODER}", *said), network)


def test_what_no_shape_tells_and_nobody_says_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = saved(made("unet", decoder_channels=(32, 24, 16, 8, 8)), tmp_path)
    opened(file, f"unet:{ENCODER}")
    printed = capsys.readouterr().err
    assert "decoder_channels=(32, 24, 16, 8, 8) is inferred from the shapes of its weights" in printed
    assert "SMP's defaults decoder_interpolation=nearest are assumed" in printed


WHOLE: dict[str, tuple[str, dict[str, Any]]] = {
    "stride": ("deeplabv3plus", {"encoder_output_stride": 8, "decoder_atrous_rates": (6, 12, 18)}),
    "channels and attention": ("unet", {"decoder_channels": (64, 48, 32, 24, 16), "decoder_attention_type": "scse"}),
    "interpolation": ("unet", {"decoder_interpolation": "bilinear"}),
    "activation": ("unet", {"activation": "softmax2d"}),
    "a head beside": ("unet", {"aux_params": {"classes": 5, "dropout": 0.3}}),
    "depth": ("linknet", {"encoder_depth": 4}),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_folder_of_save_pretrained_says_all_of_it(case: str, tmp_path: Path) -> None:
    architecture, arguments = WHOLE[case]
    network = made(architecture, **arguments)
    network.save_pretrained(tmp_path)
    network.segmentation_head[2] = nn.Identity()  # an activation is not a part of the logits
    require_same_logits(opened(tmp_path), network)
    if "encoder_output_stride" in arguments:  # also where its folder is the weights of a name
        settings = HeldOutSettings()
        teacher = teacher_of("segmentation", f"{architecture}:{ENCODER}", tmp_path, settings)
        assert teacher.arguments["encoder_output_stride"] == arguments["encoder_output_stride"]


def test_the_folder_of_another_network_is_not_the_weights_of_a_name(tmp_path: Path) -> None:
    made("unet").save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"is a unet:tu-test_resnet and `teacher` names fpn"):
        teacher_of("segmentation", f"fpn:{ENCODER}", tmp_path, HeldOutSettings())


def test_a_segmenter_of_lightning_loads_with_its_buffers_and_its_loss_beside(tmp_path: Path) -> None:
    network = made("fpn")
    state = {f"model.{name}": value for name, value in network.state_dict().items()}
    beside = {"mean": torch.rand(1, 3, 1, 1), "std": torch.rand(1, 3, 1, 1), "loss_fn.weight": torch.ones(3)}
    torch.save({"state_dict": {**beside, **state}, "hyper_parameters": {"arch": "FPN"}}, tmp_path / "last.ckpt")
    require_same_logits(opened(tmp_path / "last.ckpt", f"fpn:{ENCODER}"), network)


@torch.no_grad()
@pytest.mark.parametrize("form", ["file", "folder"])
def test_a_network_of_grey_images_takes_the_luma_of_colours(form: str, tmp_path: Path) -> None:
    network = made("fpn", in_channels=1)
    if form == "folder":
        network.save_pretrained(tmp_path)
        model = opened(tmp_path, mean=(0.3,) * 3, std=(0.2,) * 3)
    else:
        model = opened(saved(network, tmp_path), f"fpn:{ENCODER}", mean=(0.3,) * 3, std=(0.2,) * 3)
    images = torch.rand(2, 3, SIDE, SIDE)
    grey = 0.299 * images[:, :1] + 0.587 * images[:, 1:2] + 0.114 * images[:, 2:]
    torch.testing.assert_close(model(images), network((grey - 0.3) / 0.2), atol=1e-4, rtol=1e-4)
    assert bare(model.network).encoder.model.conv1[0].in_channels == 1


REFUSED: dict[str, tuple[str, dict[str, Any], tuple[str, ...], str]] = {
    "four channels": ("fpn", {"in_channels": 4}, (), "images of 4 channels: use a network of 3"),
    "a misspelt argument": ("fpn", {}, ("decoder_chanels=3",), "unknown argument of fpn: 'decoder_chanels'"),
    "another network's argument": ("fpn", {}, ("decoder_attention_type=scse",), "unknown argument of fpn"),
    "an argument that the name says": (
        "fpn",
        {},
        ("encoder_name=resnet18",),
        "given by the name, architecture:encoder",
    ),
    "classes": ("fpn", {}, ("classes=3",), "given by the file of weights or the data"),
    "no pair": ("fpn", {}, ("decoder_dropout",), "is no KEY=VALUE"),
    "a key twice": ("fpn", {}, ("upsampling=4", "upsampling=2"), "has upsampling twice"),
    "a value that SMP refuses": ("deeplabv3", {}, ("encoder_output_stride=12",), "cannot build"),
    "a value too large": ("fpn", {}, ("decoder_pyramid_channels=1000000",), "a number up to 2048"),
    "a value that does not fit": ("fpn", {}, ("decoder_pyramid_channels=48",), "differs in shape"),
    "several sigmoids": ("fpn", {}, ("activation=sigmoid",), "multi-label"),
    "an activation without classes": ("fpn", {}, ("activation=tanh",), "leaves no classes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_with_a_reason(case: str, complaint: Complaint, tmp_path: Path) -> None:
    architecture, arguments, said, words = REFUSED[case]
    file = saved(made(architecture, **arguments), tmp_path)
    assert words in complaint(lambda: opened(file, f"{architecture}:{ENCODER}", *said))


SPOILT: dict[str, tuple[dict[str, Any], str]] = {
    "several sigmoids": ({"activation": "sigmoid"}, "multi-label"),
    "four channels": ({"in_channels": 4}, "images of 4 channels"),
    "another library": ({"_model_class": "Mask2Former"}, "_model_class is 'mask2former'"),
    "no architecture": ({"_model_class": None}, "_model_class is 'none'"),
    "an encoder that would be fetched": ({"encoder_name": "tu-hf-hub:a/b"}, "encoder_name"),
    "an argument of nobody": ({"decoder_speed": 3}, "unknown argument of fpn: 'decoder_speed'"),
    "no number of classes": ({"classes": "many"}, "it has 'many' classes"),
    "a width that takes all memory": ({"decoder_pyramid_channels": 10**9}, "a number up to 2048"),
    "a table for an argument": ({"decoder_dropout": {"a": 1}}, "a word, or a short list"),
    "other classes than its weights": ({"classes": 7}, "differs in shape"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_config_that_cannot_be_is_one_line(case: str, complaint: Complaint, tmp_path: Path) -> None:
    made("fpn").save_pretrained(tmp_path)
    change, words = SPOILT[case]
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    assert words in complaint(lambda: opened(tmp_path))


def test_arguments_are_parsed_as_values() -> None:
    said = ("a=16", "b=0.5", "c=true", "d=null", "e=scse", "f=12,24,36", "g=(6, 12)", "h=[1, 2]", "i = 3 ")
    assert parsed(said) == {
        "a": 16, "b": 0.5, "c": True, "d": None, "e": "scse", "f": [12, 24, 36], "g": [6, 12], "h": [1, 2], "i": 3,
    }  # fmt: skip
    assert HeldOutSettings.model_validate({"teacher_args": {"a": 16}}).teacher_args == ("a=16",)


def test_a_shard_says_as_much_as_a_whole_file(tmp_path: Path) -> None:
    network = made("fpn")
    network.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, held in parts.items():
        save_file({name: tensors[name] for name in held}, tmp_path / file)
    index = {"weight_map": {name: file for file, held in parts.items() for name in held}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    require_same_logits(opened(tmp_path), network)


def test_a_teacher_knows_its_task_and_its_arguments(tmp_path: Path) -> None:
    made("fpn", decoder_pyramid_channels=48).save_pretrained(tmp_path)
    teacher: Teacher = teacher_of("segmentation", str(tmp_path), None, HeldOutSettings())
    assert (teacher.task, teacher.name, teacher.classes) == ("segmentation", f"fpn:{ENCODER}", 3)
    assert teacher.arguments["decoder_pyramid_channels"] == 48
    with pytest.raises(UsageError, match="is for segmentation: pass `task` segmentation"):
        teacher_of("classification", str(tmp_path), None, HeldOutSettings())
