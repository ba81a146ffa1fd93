"""The job of a bundle: a folder with a verified file and everything that is needed to run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import UsageError
from compress.export import OnnxModel
from compress.export.bundle import FOLDERS, WRITTEN, Story, write_bundle
from compress.export.comparison_images import noise
from compress.export.runtime import decided
from compress.export.web_runtime import WebRuntime, web_runtime
from compress.runs.export import Exported
from compress.runs.exported_model import synthetic_samples
from compress.storage.files import whole_folder
from compress.storage.marker import clear, holds_more_than, mark, require_own

KIND = "bundle"
"""The kind in the marker file of a bundle."""
TASKS = ("classification", "segmentation")
LOOKED_AT = 32
"""Number of samples from which the bundle's one is selected."""
LEAST_SHARE = 0.02
"""Least share of a map for a class to count."""


@dataclass(frozen=True)
class Bundle:
    """A folder that was written."""

    folder: Path
    without_page: str
    """Why it has no page and no JavaScript clients; empty if it has them."""


def require_bundle_place(folder: Path) -> None:
    """Raise `UsageError` unless `folder` is new, empty, or a bundle of this package."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"`bundle` {folder} is no folder: name one that is new, empty, or a bundle of compress")
    if folder.is_dir() and holds_more_than(folder):
        require_own(folder, KIND, setting="bundle")
    names = (path for pattern in WRITTEN for path in folder.glob(pattern))
    in_the_way = next((path for path in names if path.is_dir() and not path.is_symlink()), None)
    if in_the_way is not None:
        raise UsageError(f"{in_the_way} is a folder where a file of the bundle belongs: choose another `bundle`")
    places = (folder / name for name in FOLDERS)
    no_folder = next((place for place in places if place.is_symlink() or place.is_file()), None)
    if no_folder is not None:
        raise UsageError(f"{no_folder} is no folder, but the bundle has one of that name: choose another `bundle`")


def bundle(exported: Exported, model: Path, folder: Path, *, fetch: bool = True) -> Bundle:
    """Put a file that passed its checks into `folder`, with labels, a sample, clients, a page and a card.

    The sample is a synthetic one of the run `model`, or noise if that is not a run. It is never a held-out image, which
    the user may not be allowed to pass on. The page needs ONNX Runtime Web, which npm downloads with `fetch`. Files of
    an earlier bundle are replaced, and other files stay. Raises `UsageError` as `require_bundle_place` does, and for
    tasks of other packages.
    """
    require_bundle_place(folder)
    if exported.facts.card.task not in TASKS:
        raise UsageError(
            f"`bundle` has clients for {' and '.join(TASKS)}, not for {exported.facts.card.task}: leave it out"
        )
    try:
        runtime: WebRuntime | str = web_runtime(fetch=fetch)
    except UsageError as error:
        runtime = str(error)
    story = Story(folder.resolve().name, _checks(exported))
    with whole_folder(folder.resolve()) as unfinished:
        write_bundle(unfinished, exported.facts.path, _sample(exported.facts.path, model), story, runtime)
        folder.mkdir(exist_ok=True)
        mark(folder, KIND)
        clear(folder, WRITTEN)
        for file in sorted(path for path in unfinished.rglob("*") if path.is_file()):
            target = folder / file.relative_to(unfinished)
            target.parent.mkdir(exist_ok=True)
            file.chmod(0o644)
            file.replace(target)
    return Bundle(folder, runtime if isinstance(runtime, str) else "")


def _checks(exported: Exported) -> list[str]:
    lines = [f"torch, {result}" for result in exported.parity]
    if exported.scores is not None:
        model, file = exported.scores
        lines.append(
            f"{model.metric} on {model.count} held-out images: model {model.headline:.4f}, file {file.headline:.4f}"
        )
    return lines


def _sample(file: Path, model: Path) -> NDArray[Any]:
    """float32 `[1, 3, h, w]` in [0, 1], of 256 shades: of some, the one that shows most."""
    network = OnnxModel(file)
    samples = synthetic_samples(model)
    some = noise(LOOKED_AT, network.card.image_shape[1:]) if samples is None else samples[:LOOKED_AT].float() / 255
    images = some.numpy().astype(np.float32)
    batch = network.batch or 1
    worth = [_worth(network, np.repeat(image[None], batch, axis=0)) for image in images]
    best = max(range(len(images)), key=worth.__getitem__)
    return images[best : best + 1]


def _worth(network: OnnxModel, images: NDArray[Any]) -> tuple[int, float]:
    """How much a sample shows: the classes that cover a part of its map, and how sure the file is."""
    classes, scores = (values[0] for values in decided(network.run(network.as_input(images))))
    if classes.ndim == 1:
        return 1, float(scores.max())
    return int((np.bincount(classes.ravel()) >= LEAST_SHARE * classes.size).sum()), float(scores.mean())
