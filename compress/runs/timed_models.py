"""Models in the runtimes that `compress benchmark` times: torch, compiled torch and onnxruntime."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from numpy.typing import NDArray
from torch import nn

from compress.data_settings import ModelSettings
from compress.export import OnnxModel
from compress.export.latency import Once
from compress.runs.first_inference import peak_of_first_inference
from compress.runs.opening import open_model, settings_for
from compress.training.compute import Compute

Kind = Literal["eager", "compiled", "onnxruntime"]
Array = NDArray[Any]


class Running(Protocol):
    """A loaded model with its input shape and two functions to time."""

    image_shape: tuple[int, int, int]

    def whole(self, images: Array) -> Once:
        """From float32 `[n, 3, h, w]` in [0, 1] on the host to outputs on the host."""

    def inside(self, images: Array) -> Once:
        """The network alone, with input and output on its device."""


@dataclass(frozen=True, kw_only=True)
class TimedModel:
    """One model in one runtime."""

    path: Path
    kind: Kind
    provider: str
    settings: ModelSettings | None = None
    """What the model does not say itself."""

    @property
    def name(self) -> str:
        """As it stands in the table."""
        return f"{self.path} {self.kind}"

    def start(self) -> Running:
        """The model, loaded; raises `UsageError` if it cannot be."""
        if self.kind == "onnxruntime":
            return InOnnxRuntime(OnnxModel(self.path, provider=self.provider))
        model, card = open_model(self.path, self.settings)
        device = torch.device("cpu" if self.provider == "cpu" else "cuda")
        return InTorch(model, card.image_shape, device, compiled=self.kind == "compiled")


class InTorch:
    """A network in torch on a device, to which it is moved."""

    def __init__(
        self, model: nn.Module, image_shape: tuple[int, int, int], device: torch.device, *, compiled: bool = False
    ) -> None:
        self.image_shape, self._device = image_shape, device
        Compute(device, torch.float32).place(model)
        self._model: Callable[[torch.Tensor], torch.Tensor] = torch.compile(model) if compiled else model

    def whole(self, images: Array) -> Once:
        """See `Running`."""

        @torch.inference_mode()
        def once() -> Array:
            answer: Array = self._model(self._placed(images)).argmax(dim=1).cpu().numpy()
            return answer

        return once

    def inside(self, images: Array) -> Once:
        """See `Running`."""
        placed = self._placed(images)

        @torch.inference_mode()
        def once() -> None:
            self._model(placed)
            if self._device.type == "cuda":
                torch.cuda.synchronize()

        return once

    def _placed(self, images: Array) -> torch.Tensor:
        return torch.from_numpy(images).to(self._device).contiguous(memory_format=torch.channels_last)


class InOnnxRuntime:
    """A file in onnxruntime."""

    def __init__(self, model: OnnxModel) -> None:
        self.image_shape, self._model = model.card.image_shape, model

    def whole(self, images: Array) -> Once:
        """See `Running`."""
        batch = self._model.as_input(images)
        return lambda: self._model.run(batch)

    def inside(self, images: Array) -> Once:
        """See `Running`."""
        return self._model.bound(self._model.as_input(images))


def timed_models_of(
    path: Path, provider: str, *, compiled: bool, settings: ModelSettings | None = None
) -> list[TimedModel]:
    """A file as it is; a run's or model's network in torch, and what lies in its `export/`."""
    if path.suffix == ".onnx":
        return [TimedModel(path=path, kind="onnxruntime", provider=provider)]
    kinds: list[Kind] = ["eager", "compiled"] if compiled else ["eager"]
    files = sorted((path / "export").glob("*.onnx")) if path.is_dir() else []
    return [
        *(TimedModel(path=path, kind=kind, provider=provider, settings=settings_for(path, settings)) for kind in kinds),
        *(TimedModel(path=f, kind="onnxruntime", provider=provider) for f in files),
    ]


def cold_start(model: TimedModel, shape: tuple[int, ...]) -> dict[str, float]:
    """The first inference of a new process: seconds since its start, and its peak memory in megabytes."""
    started = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(1) as process:
        said = model.settings.model_dump() if model.settings else {}
        memory = process.apply(peak_of_first_inference, (model.kind, model.path, model.provider, shape, said))
        return {"seconds": time.perf_counter() - started, "memory_mb": memory}
