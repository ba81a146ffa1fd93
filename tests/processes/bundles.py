"""Bundles of quick networks, for tests of their files and clients."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.export.bundle import Story, write_bundle
from compress.export.card import FileCard
from compress.export.processing import Form, with_processing
from compress.export.web_runtime import WebRuntime
from compress.export.writer import exported, write_model
from compress.framing import CENTRAL_SQUARE, Framing
from compress.task import Deployable, TaskSpec

NAMES = ("red", "green", "blue")
Shades = Callable[[bool], tuple[Deployable, TaskSpec]]


@dataclass
class Bundled:
    """`bundles("maps float decision")`: the folder of a file of that kind, input and output, written once."""

    shades: Shades
    folder: Path
    runtime: WebRuntime | str

    def __post_init__(self) -> None:
        self.networks = {kind: self.shades(kind == "maps") for kind in ("labels", "maps")}
        self.bodies = {kind: exported(*network) for kind, network in self.networks.items()}
        self.written: dict[object, Path] = {}

    def __call__(
        self,
        form: str,
        *,
        framing: Framing = CENTRAL_SQUARE,
        batch: int | None = None,
        change: Callable[[FileCard], FileCard] | None = None,
        page: bool = False,
    ) -> Path:
        """With another framing, a fixed batch, a card that is changed, or with the page and the JavaScript clients."""
        key = (form, framing, batch, change, page)
        if key not in self.written:
            folder = self.folder / f"street-{len(self.written)}"
            folder.mkdir()
            self._write(folder, form, framing, batch, change or (lambda card: card))
            runtime = self.runtime if page else "it was not asked for"
            bundle = folder / "bundle"
            bundle.mkdir()
            write_bundle(bundle, folder / "written.onnx", thirds(), Story("street", ["torch, ok"]), runtime)
            self.written[key] = bundle
        return self.written[key]

    def _write(
        self, folder: Path, form: str, framing: Framing, batch: int | None, change: Callable[[FileCard], FileCard]
    ) -> None:
        kind, input, output = form.split()
        spec = replace(self.networks[kind][1], framing=framing)
        model = with_processing(deepcopy(self.bodies[kind]), spec, Form(input, output), dynamic_size=True)
        if batch:
            model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
        write_model(model, change(FileCard.of(spec, input=input, output=output)), folder / "written.onnx")


def thirds() -> NDArray[Any]:
    """float32 `[1, 3, 32, 32]`: red on the left, green above, blue below."""
    image = np.zeros((1, 3, 32, 32), np.float32)
    image[:, 0, :, :12], image[:, 1, :20, 12:], image[:, 2, 20:, 12:] = 1, 1, 1
    return image
