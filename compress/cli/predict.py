"""`compress predict`: what a model sees in the user's own photographs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
from cyclopts import Parameter
from cyclopts.validators import Number
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from compress.errors import UsageError
from compress.export import OnnxModel, spec_of
from compress.files import write_text, write_with
from compress.progress import Steps, console
from compress.task import TaskSpec
from compress.tasks import TASKS
from compress.tasks.data.image_files import SUFFIXES, as_rgb, image_files, opened
from compress.tasks.data.image_folder import read_image
from compress.tasks.data.label_maps import scaled
from compress.tasks.models.saved import load_model
from compress.tasks.pictures import overlay

GUESSES = 5
LISTED = "predictions.json"


@dataclass(frozen=True)
class Predictor:
    """A model, ready for photographs."""

    spec: TaskSpec
    run: Callable[[Tensor], Mapping[str, Tensor]]
    """Images `[1, 3, h, w]` in [0, 1] to outputs by name."""
    fixed_size: bool
    """Whether the model takes images of `spec.image_shape` only."""


def predict(
    model: Path,
    /,
    *images: Path,
    out: Path,
    image_size: Annotated[int | None, Parameter(validator=Number(gte=1, lte=4096))] = None,
    overwrite: bool = False,
) -> None:
    """Write what a run's student, a model directory, a .safetensors or an .onnx file sees in photographs.

    A segmenter leaves each photograph under the colours of its classes with a legend, NAME.png, and the class of every
    pixel, NAME.classes.png; a classifier its five best guesses. Both are listed in predictions.json.

    Parameters
    ----------
    model
        What to ask.
    images
        Photographs, png or jpg, or folders of them.
    out
        Folder for the answers.
    image_size
        Shorter side to bring photographs to before the model sees them, pixels; the one that it was scored at if not
        given.
    overwrite
        Replace the answers in --out.
    """
    files = _files(images)
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not overwrite):
        raise UsageError(f"{out} is not an empty folder: choose another --out or pass --overwrite")
    predictor = _predictor(model)
    answers = []
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent) as unfinished, Steps("predicting", len(files)) as steps:
        painted = partial(_class_map, out=Path(unfinished))
        answer = _guesses if predictor.spec.name == "classification" else painted
        for index, file in enumerate(files):
            answers.append({"file": file.name, **answer(predictor, file, image_size)})
            steps.update(index + 1, {})
        listing = {"schema_version": 1, "predictions": answers}
        write_text(Path(unfinished) / LISTED, json.dumps(listing, indent=1) + "\n")
        out.mkdir(exist_ok=True)
        for made in Path(unfinished).iterdir():
            made.replace(out / made.name)
    console.print(f"answers  {out}", soft_wrap=True)


def _files(images: tuple[Path, ...]) -> list[Path]:
    files: list[Path] = []
    for path in images:
        files += image_files(path) if path.is_dir() else [path]
    if not files:
        raise UsageError("no photographs: name png or jpg files, or folders of them, after the model")
    for file in files:
        if not file.is_file() or file.suffix.lower() not in SUFFIXES:
            raise UsageError(f"{file} is no png or jpg file: name photographs or folders of them")
    twice = next((file for file in files if sum(other.stem == file.stem for other in files) > 1), None)
    if twice is not None:
        raise UsageError(f"two photographs are called {twice.stem}: their answers would have one name; rename one")
    return files


def _predictor(path: Path) -> Predictor:
    if path.suffix == ".onnx":
        onnx = OnnxModel(path)
        return Predictor(spec_of(onnx), onnx.run, fixed_size=onnx.metadata.get("dynamic_size") == "false")
    network, card = load_model(path)
    spec = TaskSpec(card.task, card.image_shape, card.class_names, "", palette=card.palette, image_size=card.image_size)
    deployed = TASKS[card.task].deployable(network)
    return Predictor(spec, lambda images: dict(zip(deployed.output_names, deployed(images), strict=True)), False)


@torch.no_grad()
def _guesses(predictor: Predictor, file: Path, size: int | None) -> dict[str, Any]:
    pixels = read_image(file, size or predictor.spec.image_shape[1])
    probabilities = predictor.run(pixels[None] / 255)["probabilities"][0]
    best = probabilities.topk(min(GUESSES, len(probabilities)))
    names = [predictor.spec.class_names[index] for index in best.indices.tolist()]
    guesses = [{"class": name, "probability": p} for name, p in zip(names, best.values.tolist(), strict=True)]
    print(f"{file.name}: {names[0]} {guesses[0]['probability']:.1%}")
    return {"guesses": guesses}


@torch.no_grad()
def _class_map(predictor: Predictor, file: Path, size: int | None, out: Path) -> dict[str, Any]:
    spec = predictor.spec
    with opened(file) as image:
        photograph = as_rgb(image)
    own = photograph.height, photograph.width
    height, width = spec.image_shape[1:] if predictor.fixed_size else scaled(own, size or spec.image_size)
    outputs = predictor.run(pil_to_tensor(photograph.resize((width, height), Image.Resampling.BILINEAR))[None] / 255)
    small = Image.fromarray(outputs["classes"][0].to(torch.uint8).numpy())
    classes = small.resize((own[1], own[0]), Image.Resampling.NEAREST)
    labels = pil_to_tensor(classes)[0]
    picture = overlay(photograph, labels, spec.class_names, spec.palette)
    classes.putpalette([value for colour in (*spec.palette, *[(0, 0, 0)] * 256)[:256] for value in colour])
    write_with(out / f"{file.stem}.png", lambda path: picture.save(path, format="PNG"))
    write_with(out / f"{file.stem}.classes.png", lambda path: classes.save(path, format="PNG"))
    counts = torch.bincount(labels.flatten().long(), minlength=len(spec.class_names))
    shares = dict(zip(spec.class_names, (counts / labels.numel()).tolist(), strict=True))
    return {"shares": shares, "confidence": outputs["confidence"].mean().item()}
