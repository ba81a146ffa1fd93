"""Networks by name: timm and CIFAR-size classifiers, segmenters of segmentation-models-pytorch and torchvision."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from compress.errors import UsageError, one_line, unknown_name

from ..named_task import find_task
from .cifar import CIFAR_NETWORKS
from .constructor_arguments import GREY, require_channels, require_own
from .grey_input import of_grey_images
from .normalised import NormalisedModel, deployable
from .smp_segmenters import smp_names, smp_segmenter
from .timm_hub import STORED, normaliser, require_stored
from .torchvision_segmenters import PREFIX, TorchvisionSegmenter, torchvision_names
from .weights import fingerprint, fit_weights, read_weights

__all__ = [
    "CIFAR_NETWORKS", "STORED", "NormalisedModel", "architecture_name", "create_model", "deployable", "fingerprint",
    "fit_weights", "model_names", "read_weights", "takes_encoder", "task_of",
]  # fmt: skip


def model_names(task: str) -> list[str]:
    """All names that `create_model` takes for a task; segmenters without their encoders."""
    own = find_task(task).networks
    if own:
        return sorted(own)
    if task == "segmentation":
        return sorted([*smp_names(), *torchvision_names()])
    import timm

    return sorted([*CIFAR_NETWORKS, *timm.list_models()])


def takes_encoder(segmenter: str) -> bool:
    """Whether the encoder is chosen separately, as in segmentation-models-pytorch; torchvision's names include it."""
    return not segmenter.startswith(PREFIX)


def task_of(name: str) -> str:
    """The task of a network by its name: segmentation for `architecture:encoder` and all architectures."""
    import timm

    if name in CIFAR_NETWORKS or name.startswith(STORED) or timm.is_model(name):
        return "classification"
    segments = ":" in name or name.startswith(PREFIX) or name.lower() in smp_names()
    return "segmentation" if segments else "classification"


def create_model(
    task: str,
    name: str,
    num_classes: int,
    image_size: tuple[int, int] | None = None,
    *,
    pretrained: bool = False,
    arguments: Mapping[str, Any] | None = None,
) -> NormalisedModel:
    """An untrained model by name (see `compress list teachers`); `hf-hub:` and `local-dir:` names come trained.

    Segmenters are `architecture[:encoder[:STAGESxCHANNELS]]`, such as `deeplabv3:tu-resnet10t:4x64`. STAGES is the
    number of encoder stages; CHANNELS is the width of the decoder, for architectures whose decoder has one width.

    With `pretrained`, timm classifiers and the encoders of segmenters get ImageNet weights, from disk or downloaded.
    CIFAR-size networks have no such weights.

    Classifiers that accept images of one size only (most vision transformers) are built for `image_size` (height and
    width in pixels), or for their default size without it. timm resamples stored position embeddings.

    `arguments` are further arguments of the library's constructor. A network of one input channel is wrapped so that
    it takes RGB images.

    Raises `UsageError` for an unknown name, with the nearest known one, and for arguments that the constructor lacks.
    """
    arguments, own_networks = arguments or {}, find_task(task).networks
    if arguments and (own_networks or name in CIFAR_NETWORKS or (task == "segmentation" and not takes_encoder(name))):
        raise UsageError(f"{name} takes no arguments beside its name: leave out {', '.join(arguments)}")
    if own_networks:
        return _own_network(task, own_networks, name, num_classes)
    if task == "segmentation" and takes_encoder(name):
        model = NormalisedModel(smp_segmenter(name, num_classes, pretrained, arguments))
    elif task == "segmentation":
        model = _torchvision_segmenter(name, num_classes, pretrained)
    else:
        model = _classifier(name, num_classes, image_size, pretrained, arguments)
    return of_grey_images(model) if GREY in (arguments.get("in_channels"), arguments.get("in_chans")) else model


def _own_network(
    task: str, networks: Mapping[str, Callable[[int], nn.Module]], name: str, num_classes: int
) -> NormalisedModel:
    """A network that the task defines; normalised with ImageNet's mean and deviation unless it normalises itself."""
    if name not in networks:
        raise unknown_name(f"network for {task}", name, networks)
    network = networks[name](num_classes)
    return network if isinstance(network, NormalisedModel) else NormalisedModel(network)


def _classifier(
    name: str, num_classes: int, image_size: tuple[int, int] | None, imagenet: bool, arguments: Mapping[str, Any]
) -> NormalisedModel:
    if name in CIFAR_NETWORKS:
        return NormalisedModel(CIFAR_NETWORKS[name](num_classes))
    import timm

    require_channels(name, arguments.get("in_chans", 3))
    require_own(name, arguments)
    stored = name.startswith(STORED)
    if stored:
        require_stored(name)
    elif not timm.is_model(name):
        raise unknown_name("classifier", name, _family(name, model_names("classification")))
    try:
        network = timm.create_model(name, pretrained=stored or imagenet, num_classes=num_classes, **arguments)
        origin = network.pretrained_cfg
        if image_size and takes_one_size(network) and tuple(origin["input_size"][1:]) != image_size:
            sized = {**arguments, "img_size": image_size}
            network = timm.create_model(name, pretrained=stored or imagenet, num_classes=num_classes, **sized)
        mean, std = normaliser(origin)
    except Exception as error:  # timm raises many exception types, from RuntimeError to AssertionError
        raise UsageError(f"timm cannot build {name!r}{_sized(image_size)}: {one_line(error)}") from error
    stored_classes = origin.get("num_classes")
    if stored and stored_classes and stored_classes != num_classes:  # timm would replace the last layer by a random one
        raise UsageError(
            f"{name} has {stored_classes} classes and the data has {num_classes}: choose another model or `data`"
        )
    return NormalisedModel(network, mean, std)


def takes_one_size(network: nn.Module) -> bool:
    """Whether a timm network is built for one image size, set by `img_size`."""
    return bool(getattr(network, "pretrained_cfg", {}).get("fixed_input_size"))


def architecture_name(name: str, network: nn.Module) -> str:
    """The name without the source of its weights, so that rebuilding the network does not access that source."""
    if not name.startswith(STORED):
        return name
    origin: Any = network.pretrained_cfg
    return str(origin["architecture"])


def _sized(image_size: tuple[int, int] | None) -> str:
    return f" for {image_size[0]}x{image_size[1]} images" if image_size else ""


def _torchvision_segmenter(name: str, num_classes: int, imagenet: bool) -> NormalisedModel:
    if name not in torchvision_names():
        raise unknown_name("segmenter", name, torchvision_names())
    if imagenet:
        raise UsageError("there are ImageNet weights for encoders of segmentation-models-pytorch only")
    return NormalisedModel(TorchvisionSegmenter(name.removeprefix(PREFIX), num_classes))


def _family(name: str, names: Iterable[str]) -> list[str]:
    """The names with the same first letters, so that a suggestion among 1,300 names is of the same family."""
    stem = re.match(r"[a-z]*", name.lower())
    relatives = [k for k in names if stem and stem.group() and k.startswith(stem.group()[:4])]
    return relatives or list(names)


@torch.no_grad()
def require_image_size(model: nn.Module, name: str, image_shape: tuple[int, int, int]) -> torch.Size:
    """The shape of the logits of one image; raises `UsageError` if the model cannot take images of this size."""
    try:
        logits = model.eval()(torch.zeros(1, *image_shape))
    except Exception as error:  # networks raise many exception types
        size = "x".join(map(str, image_shape[1:]))
        raise UsageError(
            f"{name} cannot take {size} images: {one_line(error)}; choose another model or size"
        ) from error
    if not isinstance(logits, torch.Tensor):
        raise UsageError(f"{name} returns a {type(logits).__name__}, not one tensor of logits")
    return logits.shape
