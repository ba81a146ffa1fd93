"""The job of a prediction: what a model sees in the user's own photographs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from compress.errors import UsageError
from compress.export import Decision, FileCard, OnnxModel, decided, decision, prepared
from compress.storage.files import whole_folder, write_text, write_with
from compress.storage.untrusted import plain_json, read_bytes
from compress.tasks.data.image_files import SUFFIXES, as_rgb, bombs_refused, image_files, opened
from compress.tasks.models.saved import load_model
from compress.tasks.overlay import overlay, smooth
from compress.training.progress import Steps

LISTED = "predictions.json"
LISTING_LIMIT = 500_000_000  # bytes; a hundred for each photograph and class

Look = Callable[[Image.Image], Decision]


def predict(
    model: Path, images: Sequence[Path], out: Path, *, image_size: int | None = None, overwrite: bool = False
) -> list[dict[str, Any]]:
    """Write what a run's student, a model directory, a .safetensors or an .onnx file sees in photographs to `out`.

    A segmenter leaves NAME.png and NAME.classes.png for each photograph, a classifier its five best guesses. Returns
    the rows of predictions.json: `file`, and `guesses` (`class`, `probability`), or `shares` by class and `confidence`.
    Raises `UsageError` for a model, a photograph or a folder that cannot be used; `out` is then as it was.
    """
    files = _files(images)
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not overwrite):
        raise UsageError(f"{out} is not an empty folder: choose another `out` or pass `overwrite`")
    _require_not_destroyed(out, files)
    look = _opened(model, image_size)
    answers = []
    with whole_folder(out) as unfinished, Steps("predicting", len(files)) as steps:
        for index, file in enumerate(files):
            with bombs_refused(), opened(file) as image:
                photograph = as_rgb(image)
            seen = look(photograph)
            maps = seen.classes.ndim == 2
            answer = _painted(photograph, seen, unfinished / file.stem) if maps else _guesses(seen)
            answers.append({"file": file.name, **answer})
            steps.update(index + 1)
        listing = {"schema_version": 1, "predictions": answers}
        write_text(unfinished / LISTED, json.dumps(listing, indent=1, allow_nan=False) + "\n")
        out.mkdir(exist_ok=True)  # the list goes first: it says whose the others are
        for made in sorted(unfinished.iterdir(), key=lambda path: path.name != LISTED):
            made.replace(out / made.name)
    return answers


def _require_not_destroyed(out: Path, files: Sequence[Path]) -> None:
    """Raise `UsageError` if an answer would take the place of a photograph, or of what `predict` did not write."""
    names = {LISTED, *(name for file in files for name in _answers_of(file.name))}
    listed = _listed(out / LISTED)
    for name in sorted(names):
        answer = out / name
        if not answer.exists() and not answer.is_symlink():
            continue
        photograph = next((file for file in files if answer.exists() and file.samefile(answer)), None)
        if photograph is not None:
            raise UsageError(f"{answer} would take the place of the photograph {photograph}: choose another `out`")
        if name not in listed:
            raise UsageError(f"{answer} is there and no answer of compress: choose another `out`")


def _answers_of(photograph: str) -> tuple[str, str]:
    """Names of the pictures that are written for a photograph."""
    stem = Path(photograph).stem
    return f"{stem}.png", f"{stem}.classes.png"


def _listed(file: Path) -> set[str]:
    """What an earlier answer wrote into the folder, by its own list; nothing where there is none."""
    try:
        listing = plain_json(read_bytes(file, LISTING_LIMIT))
        names = [entry["file"] for entry in listing["predictions"]]
        return {LISTED, *(name for photograph in names for name in _answers_of(photograph))}
    except Exception:  # no such file, no JSON, or that of somebody else
        return set()


def _files(images: Sequence[Path]) -> list[Path]:
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


def _opened(path: Path, size: int | None) -> Look:
    """What tells of a photograph what a model sees in it; `size` is the shorter side that it is shown at."""
    if path.suffix == ".onnx":
        onnx = OnnxModel(path)
        onnx.card = _at_size(onnx.card, size)
        return lambda photograph: onnx(photograph)[0]
    network, saved = load_model(path)
    card = _at_size(FileCard.of(saved.spec), size)

    @torch.no_grad()
    def look(photograph: Image.Image) -> Decision:
        logits = network(torch.from_numpy(prepared(photograph, card))[None])
        if logits.ndim > 2 and logits.shape[2] < photograph.height:  # enlarged: no blocks, but boundaries in between
            probabilities = logits[0].softmax(dim=0).numpy()
            return Decision(*smooth(probabilities, photograph.size), card.class_names, card.palette)
        classes, scores = decided({"logits": logits.numpy()})
        return decision(classes[0], scores[0], photograph.size, card)

    return look


def _at_size(card: FileCard, size: int | None) -> FileCard:
    if size is None:
        return card
    if card.input == "uint8" or not card.dynamic_size:
        raise UsageError("this file brings photographs to its own size: leave out `image_size`")
    return (
        replace(card, image_shape=(3, size, size)) if card.task == "classification" else replace(card, image_size=size)
    )


def _guesses(seen: Decision) -> dict[str, Any]:
    guesses = [{"class": name, "probability": p} for name, p in zip(seen.names, seen.scores.tolist(), strict=True)]
    return {"guesses": guesses}


def _painted(photograph: Image.Image, seen: Decision, stem: Path) -> dict[str, Any]:
    """Write both pictures; returns the share of each class."""
    classes = Image.fromarray(seen.classes.astype(np.uint8))
    labels = torch.from_numpy(seen.classes.astype(np.int64))
    picture = overlay(photograph, seen.classes.astype(np.uint8), seen.class_names, seen.palette)
    classes.putpalette([value for colour in (*seen.palette, *[(0, 0, 0)] * 256)[:256] for value in colour])
    write_with(stem.with_name(f"{stem.name}.png"), lambda path: picture.save(path, format="PNG"))
    write_with(stem.with_name(f"{stem.name}.classes.png"), lambda path: classes.save(path, format="PNG"))
    counts = torch.bincount(labels.flatten(), minlength=len(seen.class_names))
    shares = dict(zip(seen.class_names, (counts / labels.numel()).tolist(), strict=True))
    return {"shares": shares, "confidence": float(seen.scores.mean())}
