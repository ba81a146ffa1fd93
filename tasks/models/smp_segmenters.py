"""Segmenters of segmentation-models-pytorch by name: `architecture[:encoder[:STAGESxCHANNELS]]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from compress.errors import UsageError, one_line, unknown_name

from .constructor_arguments import checked, signature_of
from .inferred_arguments import AUXILIARY
from .torchvision_segmenters import torchvision_names

SIZE = re.compile(r"(?P<encoder>.*):(?P<size>[1-9]x[1-9]\d{0,3})")
DEFAULT_ENCODER = "resnet18"
"""Default encoder here; it costs half as much as SMP's own default, resnet34."""
SMP_DEFAULT_ENCODER = "resnet34"
"""Encoder of an SMP configuration that names none."""
OF_TIMM = "tu-"


def smp_names() -> list[str]:
    """The architectures, in lower case."""
    import segmentation_models_pytorch as smp

    return list(smp.MODEL_ARCHITECTURES_MAPPING)


def smp_segmenter(name: str, num_classes: int, imagenet: bool, arguments: Mapping[str, Any]) -> nn.Module:
    """Build the network, from normalised images to logits; `arguments` are further arguments of SMP's constructor.

    Raises `UsageError` for unknown names, and for arguments that the constructor lacks or refuses.
    """
    import segmentation_models_pytorch as smp

    architecture, encoder, size = segmenter_parts(name)
    sizes = {**_sizes(architecture, size), **checked(architecture, arguments)}
    try:
        network: nn.Module = smp.create_model(
            architecture,
            encoder_name=encoder,
            encoder_weights="imagenet" if imagenet else None,
            classes=num_classes,
            **sizes,
        )
    except Exception as error:  # SMP and timm raise many exception types, from RuntimeError to ModuleNotFoundError
        listed = "".join(f", {key}={value}" for key, value in arguments.items() if value is not None)
        raise UsageError(f"segmentation-models-pytorch cannot build {name!r}{listed}: {one_line(error)}") from error
    vars(network)["training_only"] = (AUXILIARY,)
    return network


def segmenter_parts(name: str) -> tuple[str, str, str]:
    """Split `architecture[:encoder[:STAGESxCHANNELS]]` into architecture, encoder and size (`""` if there is none).

    Raises `UsageError` for an unknown name, with the nearest known one.
    """
    import segmentation_models_pytorch as smp

    architecture, _, rest = name.partition(":")
    named = SIZE.fullmatch(rest)
    encoder, size = (named["encoder"], named["size"]) if named else (rest, "")
    architecture, encoder = architecture.lower(), encoder or DEFAULT_ENCODER
    if architecture not in smp_names():
        every = sorted([*smp_names(), *torchvision_names()])
        raise unknown_name("segmenter", architecture, every, "(name it architecture[:encoder])")
    encoders = smp.encoders.get_encoder_names()
    if encoder not in encoders and not encoder.startswith(OF_TIMM):
        raise unknown_name("encoder", encoder, encoders, "(timm encoders are written tu-NAME)")
    return architecture, encoder, size


def sizes_of(name: str) -> dict[str, int]:
    """The arguments in a name's `STAGESxCHANNELS`: `encoder_depth` and `decoder_channels`; empty if it has none."""
    architecture, _, size = segmenter_parts(name)
    return _sizes(architecture, size)


def _sizes(architecture: str, size: str) -> dict[str, int]:
    if not size:
        return {}
    width = signature_of(architecture).get("decoder_channels")
    if width is None or not isinstance(width.default, int):
        raise UsageError(f"the decoder of {architecture!r} has several widths: leave {size!r} out of its name")
    stages, channels = map(int, size.split("x"))
    return {"encoder_depth": stages, "decoder_channels": channels}
