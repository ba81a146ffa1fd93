"""`compress predict`: show a model's predictions on the user's own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from compress.cli.flags import Switch
from compress.data_settings import ModelSettings
from compress.runs.predict import predict as run_prediction
from compress.runs.predicted_masks import MaskFormat
from compress.training.progress import console, output


def predict(
    model: Path,
    /,
    *images: Path,
    out: Path,
    settings: Annotated[ModelSettings | None, Parameter(name="*")] = None,
    mask_format: list[MaskFormat] | None = None,
    overwrite: Switch = False,
) -> None:
    """Show what a model predicts on your own images.

    A segmenter writes two files per image: NAME.png, the image under the colours of its classes with a legend, and
    NAME.classes.png, the class of every pixel. A classifier writes its five best classes. predictions.json lists the
    results of both, and the files in folders that cannot be read.

    Parameters
    ----------
    model
        Run, folder of compress, timm or SMP, weights file (with --teacher) or .onnx file.
    images
        png, jpg, webp, bmp, tiff or gif files, or folders of them and of folders.
    out
        Folder for the predictions.
    mask_format
        Masks of a segmenter: `index` (NAME.classes.png with a palette, the default), `rgb` (NAME.colours.png) or
        `polygons` (one polygons.json in COCO's format, for labelling tools). Repeat the flag for several.
    overwrite
        Replace the predictions in --out.
    """
    for answer in run_prediction(
        model, images, out, settings=settings, mask_format=mask_format or ("index",), overwrite=overwrite
    ):
        if "guesses" in answer:
            best = answer["guesses"][0]
            output.print(f"{answer['file']}: {best['class']} {best['probability']:.1%}", soft_wrap=True)
    console.print(f"predictions  {out}", soft_wrap=True)
