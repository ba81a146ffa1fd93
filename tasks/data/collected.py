"""A small folder of real images that the user collected, `DIR/CLASS/*.png|jpg`."""

from __future__ import annotations

from pathlib import Path

from compress.errors import UsageError, unknown_name

from .image_folder import read_classes
from .source import DataSource, LabelledImages


def read_collected(folder: Path, source: DataSource) -> LabelledImages:
    """All images of the folder in the size of the data's, labelled by the folder each is in.

    Raises `UsageError` for a folder that is no class of the data, a class without images, and a broken image.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: give a folder of images, one folder a class")
    found = {entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    for name in sorted(found - set(source.class_names)):
        raise unknown_name(f"class folder in {folder}:", name, source.class_names)
    missing = [name for name in source.class_names if name not in found]
    if missing:
        raise UsageError(f"no folder for class {missing[0]!r} in {folder}: put .png or .jpg files into {missing[0]}/")
    return read_classes(folder, source.class_names, source.image_shape[1])
