"""Exports at reduced cost: one trace a network, however many files are written of it, and few images to compare on."""

from __future__ import annotations

from copy import deepcopy

import pytest
from onnx import ModelProto
from torch import nn

from compress.export import comparison_images, verified_export, writer
from compress.task import TaskSpec
from compress.tasks.models import fingerprint


def reduce_exports(patch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone, networks are traced once, and files are compared on few images."""
    trace_once(patch)
    patch.setattr(comparison_images, "IMAGES", 16)


def trace_once(patch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone, a network that was traced is not traced again."""
    traced: dict[tuple[object, ...], ModelProto] = {}

    def once(network: nn.Module, spec: TaskSpec, **options: object) -> ModelProto:
        key = (fingerprint(network), spec.image_shape, *options.items())
        if key not in traced:
            traced[key] = writer.exported(network, spec, **options)
        return deepcopy(traced[key])

    patch.setattr(verified_export, "exported", once)
