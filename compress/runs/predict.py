"""The job of a prediction on the user's own images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from compress.data_settings import ModelSettings
from compress.errors import UsageError
from compress.export import Decision, FileCard, OnnxModel, decided, decision, prepared
from compress.runs.input_images import Photograph, photographs, readable
from compress.runs.opening import open_model, require_no_settings
from compress.runs.predicted_masks import COCO_FILE, ENDINGS, MaskFormat, write_masks
from compress.storage.files import whole_folder, write_text
from compress.storage.untrusted import plain_json, read_bytes
from compress.tasks.overlay import smooth
from compress.tasks.polygons import CocoFile
from compress.training.progress import Steps, console

LISTED = "predictions.json"
LISTING_LIMIT = 500_000_000  # bytes; a hundred for each photograph and class

Look = Callable[[Image.Image], Decision]


def predict(
    model: Path,
    images: Sequence[Path],
    out: Path,
    *,
    settings: ModelSettings | None = None,
    mask_format: Sequence[MaskFormat] = ("index",),
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Write the predictions of a run's student, of any folder or file of a model, or of an .onnx file to `out`.

    `settings` say what the model does not: the network of a file of weights, the size of images.

    Folders are searched with the folders in them, which `out` has then, too. A segmenter leaves NAME.png and the masks
    of `mask_format` for each photograph, a classifier its five best guesses. Returns the rows of predictions.json:
    `file`, and `guesses` (`class`, `probability`), or `shares` by class and `confidence`. Broken files in folders are
    passed over, said, and listed with the reason. Raises `UsageError` for a model, a photograph or a folder that cannot
    be used; `out` is then unchanged.
    """
    listed = photographs(images)
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not overwrite):
        raise UsageError(f"{out} is not an empty folder: choose another `out` or pass `overwrite`")
    _require_not_destroyed(out, listed)
    look = _opened(model, settings or ModelSettings())
    with whole_folder(out) as unfinished:
        answers, broken = _answered(look, listed, unfinished, mask_format)
        listing = {"schema_version": 1, "predictions": answers, "passed_over": broken}
        write_text(unfinished / LISTED, json.dumps(listing, indent=1, allow_nan=False) + "\n")
        out.mkdir(exist_ok=True)  # the list goes first: it says whose the others are
        for answer in sorted(unfinished.rglob("*"), key=lambda path: path.name != LISTED):
            target = out / answer.relative_to(unfinished)
            if answer.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                answer.replace(target)
    return answers


def _answered(
    look: Look, listed: Sequence[Photograph], folder: Path, formats: Sequence[MaskFormat]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Answers to all photographs, whose pictures are then in the folder, and those that cannot be read."""
    answers: list[dict[str, Any]] = []
    broken: list[dict[str, str]] = []
    coco = CocoFile()
    with Steps("predicting", len(listed)) as steps:
        for number, photograph, image in readable(listed):
            if isinstance(image, str):
                broken.append({"file": photograph.label, "reason": image})
            else:
                decision = look(image)
                if decision.classes.ndim == 2:
                    answer = write_masks(image, decision, folder / photograph.stem, formats)
                    if "polygons" in formats:
                        coco.add(photograph.label, decision.classes.astype("uint8"), decision.class_names)
                else:
                    answer = _guesses(decision)
                answers.append({"file": photograph.label, **answer})
            steps.update(number)
    if coco.filled:
        write_text(folder / COCO_FILE, json.dumps(coco.content()) + "\n")
    if broken:
        first = f"{broken[0]['file']}, ..." if len(broken) > 1 else broken[0]["file"]
        console.print(
            f"{len(broken)} of {len(listed)} files cannot be read and are passed over: {first}", soft_wrap=True
        )
    return answers, broken


def _require_not_destroyed(out: Path, listed: Sequence[Photograph]) -> None:
    """Raise `UsageError` if an answer would take the place of a photograph, or of what `predict` did not write."""
    names = {LISTED, COCO_FILE, *(name for photograph in listed for name in _answers_of(photograph.label))}
    ours = _listed(out / LISTED)
    for name in sorted(names):
        answer = out / name
        if not answer.exists() and not answer.is_symlink():
            continue
        overwritten = next((one.file for one in listed if answer.exists() and one.file.samefile(answer)), None)
        if overwritten is not None:
            raise UsageError(f"{answer} would take the place of the photograph {overwritten}: choose another `out`")
        if name not in ours:
            raise UsageError(f"{answer} is there and no answer of compress: choose another `out`")


def _answers_of(photograph: str) -> list[str]:
    """Names of the pictures that are written for a photograph."""
    stem = Path(photograph).with_suffix("").as_posix()
    return [f"{stem}{ending}" for ending in ENDINGS]


def _listed(file: Path) -> set[str]:
    """The files that an earlier prediction wrote into the folder, from its list; empty if there is none."""
    try:
        listing = plain_json(read_bytes(file, LISTING_LIMIT))
        names = [entry["file"] for entry in listing["predictions"]]
        return {LISTED, COCO_FILE, *(name for photograph in names for name in _answers_of(photograph))}
    except Exception:  # no such file, or not a list that this package wrote
        return set()


def _opened(path: Path, settings: ModelSettings) -> Look:
    """The function that predicts one image."""
    size = settings.image_size
    if path.suffix == ".onnx":
        require_no_settings(path, settings)
        onnx = OnnxModel(path)
        onnx.card = _at_size(onnx.card, size)

        def look_by_file(photograph: Image.Image) -> Decision:
            if onnx.card.input == "uint8":  # which resizes by itself
                return onnx(photograph)[0]
            outputs = onnx.run(onnx.as_input(prepared(photograph, onnx.card)[None]))
            return _decision(outputs, photograph, onnx.card)

        return look_by_file
    network, saved = open_model(path, settings, any_size=True)
    card = _at_size(FileCard.of(saved.spec), size)

    @torch.no_grad()
    def look(photograph: Image.Image) -> Decision:
        logits = network(torch.from_numpy(prepared(photograph, card))[None])
        return _decision({"logits": logits.numpy()}, photograph, card)

    return look


def _decision(outputs: dict[str, Any], photograph: Image.Image, card: FileCard) -> Decision:
    """The answer to one photograph; a smaller map is interpolated before it decides, so that boundaries are lines."""
    classes, scores = (answer[0] for answer in decided(outputs))
    if classes.ndim == 1 or classes.shape[0] >= photograph.height:
        return decision(classes, scores, photograph.size, card)
    planes: Iterable[Any] = (scores * (classes == index) for index in range(len(card.class_names)))
    if "classes" not in outputs:
        values = torch.from_numpy(next(iter(outputs.values()))[0])
        planes = (values if "probabilities" in outputs else values.softmax(dim=0)).numpy()
    classes, scores = smooth(planes, photograph.size)
    return Decision(classes=classes, scores=scores, class_names=card.class_names, palette=card.palette)


def _at_size(card: FileCard, size: int | None) -> FileCard:
    if size is None:
        return card
    if card.input == "uint8" or not card.dynamic_size:
        raise UsageError("this file resizes images itself: leave out `image_size`")
    return (
        replace(card, image_shape=(3, size, size)) if card.task == "classification" else replace(card, image_size=size)
    )


def _guesses(decision: Decision) -> dict[str, Any]:
    guesses = [
        {"class": name, "probability": p} for name, p in zip(decision.names, decision.scores.tolist(), strict=True)
    ]
    return {"guesses": guesses}
