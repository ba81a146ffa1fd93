"""`compress predict`: what a model sees in the user's own photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from compress.runs.predict import predict as run_prediction
from compress.training.progress import console, output


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
    for answer in run_prediction(model, images, out, image_size=image_size, overwrite=overwrite):
        if "guesses" in answer:
            best = answer["guesses"][0]
            output.print(f"{answer['file']}: {best['class']} {best['probability']:.1%}", soft_wrap=True)
    console.print(f"answers  {out}", soft_wrap=True)
