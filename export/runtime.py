"""Running an ONNX file with onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor

from compress.errors import UsageError
from compress.task import TaskSpec


class OnnxModel:
    """A file written by `write_onnx`, in an onnxruntime session.

    Raises `UsageError` if the file cannot be loaded or does not carry this package's metadata.
    """

    def __init__(self, path: Path, *, cuda: bool = False) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if cuda and "CUDAExecutionProvider" in ort.get_available_providers():
            ort.preload_dlls()
            providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        else:
            providers = ["CPUExecutionProvider"]
        try:
            self._session = ort.InferenceSession(path, options, providers=providers)
        except Exception as error:  # onnxruntime's exceptions share no public base class
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UsageError(f"onnxruntime cannot load {path}: {reason[:160]}; is it a complete ONNX file?") from error
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.provider = self._session.get_providers()[0]
        if not {"task", "class_names", "image_shape"} <= self.metadata.keys():
            raise UsageError(
                f"{path} does not say its task and classes: only files written by `compress export` can be evaluated"
            )

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.metadata["task"]

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the class axis."""
        return tuple(json.loads(self.metadata["class_names"]))

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """Outputs by name for float images `[n, 3, h, w]` in [0, 1]."""
        names = [output.name for output in self._session.get_outputs()]
        values = self._session.run(names, {"images": np.ascontiguousarray(images.numpy())})
        return {name: torch.from_numpy(np.asarray(value)) for name, value in zip(names, values, strict=True)}

    def __call__(self, images: Tensor) -> Tensor:
        """Scores `[n, k, *s]` that any metric takes for logits: probabilities, or the one-hot class map."""
        outputs = self.run(images.cpu())
        if "probabilities" in outputs:
            return outputs["probabilities"]
        classes = torch.arange(len(self.class_names)).view(-1, 1, 1)
        return (outputs["classes"].long().unsqueeze(1) == classes).float()


def spec_of(model: OnnxModel) -> TaskSpec:
    """The task that a file's metadata describes."""
    metric = "top1" if model.task == "classification" else "miou"
    shape, size = json.loads(model.metadata["image_shape"]), json.loads(model.metadata.get("image_size", "null"))
    palette = tuple((red, green, blue) for red, green, blue in json.loads(model.metadata.get("palette", "[]")))
    return TaskSpec(model.task, tuple(shape), model.class_names, metric, palette=palette, image_size=size)
