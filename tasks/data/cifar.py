"""CIFAR-10 and CIFAR-100 in their official form, the "python version" archives of Krizhevsky (2009), unpacked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from compress.errors import UsageError
from compress.storage.untrusted import require_name

from .cifar_pickles import PixelArray, as_text, read_table
from .source import DataSource, FileSum, LabelledImages, Place

SIDE = 32


@dataclass(frozen=True, kw_only=True)
class CifarFiles:
    """One of the two sets: its files, their keys, and their published md5 sums."""

    name: str
    folder: str
    meta: str
    names_key: str
    labels_key: str
    classes: int
    training: tuple[str, ...]
    held_out: str
    md5: Mapping[str, str]


CIFAR10 = CifarFiles(
    name="cifar10",
    folder="cifar-10-batches-py",
    meta="batches.meta",
    names_key="label_names",
    labels_key="labels",
    classes=10,
    training=tuple(f"data_batch_{number}" for number in range(1, 6)),
    held_out="test_batch",
    md5={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
)
CIFAR100 = CifarFiles(
    name="cifar100",
    folder="cifar-100-python",
    meta="meta",
    names_key="fine_label_names",
    labels_key="fine_labels",
    classes=100,
    training=("train",),
    held_out="test",
    md5={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
)


def open_cifar(files: CifarFiles, place: Place) -> DataSource:
    """The set in `place.root` or in its official folder there; reads the class names only.

    Raises `UsageError` if the file of the class names is missing or they are not what they should be; a split raises
    it when it is opened, for files that are missing and for images or labels that are not.
    """
    folder = next((f for f in (place.root, place.root / files.folder) if (f / files.meta).is_file()), None)
    if folder is None:
        raise UsageError(
            f"no {files.name} at {place.root}: neither it nor {files.folder} in it holds the file {files.meta}; "
            "unpack the archive 'python version' there"
        )
    names, meta = _class_names(folder / files.meta, files)
    return DataSource(
        name=files.name,
        task="classification",
        class_names=names,
        image_shape=(3, SIDE, SIDE),
        image_size=SIDE,
        training=lambda: _read(folder, files.training, files, meta),
        held_out=cache(lambda: _read(folder, (files.held_out,), files, meta)),
    )


def _class_names(file: Path, files: CifarFiles) -> tuple[tuple[str, ...], FileSum]:
    table, md5 = read_table(file)
    listed = table.get(files.names_key)
    try:
        names = tuple(require_name(as_text(name)) for name in listed) if isinstance(listed, list) else ()
    except ValueError as error:
        raise UsageError(f"{file}: the class name {error}; unpack the archive again") from error
    if len(set(names)) != files.classes or len(names) != files.classes:
        raise UsageError(
            f"{file} does not name the {files.classes} classes of {files.name} in {files.names_key!r}: "
            "unpack the archive anew"
        )
    return names, _sum(file, md5, files)


def _read(folder: Path, names: tuple[str, ...], files: CifarFiles, meta: FileSum) -> LabelledImages:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise UsageError(f"{folder} lacks {', '.join(missing)}: unpack the whole archive there")
    parts = [_read_batch(folder / name, files) for name in names]
    sums = (meta, *(read for part in parts for read in part.sums))
    return LabelledImages(torch.cat([part.images for part in parts]), torch.cat([part.targets for part in parts]), sums)


def _read_batch(file: Path, files: CifarFiles) -> LabelledImages:
    """Images `[n, 3, 32, 32]` and labels `[n]`: a row of a file holds all red, then all green, then all blue values."""
    table, md5 = read_table(file)
    try:
        pixels, labels = table.get("data"), table.get(files.labels_key)
        if not isinstance(pixels, PixelArray):
            raise ValueError("it holds no array called 'data'")
        images = pixels.rows(3 * SIDE * SIDE).view(-1, 3, SIDE, SIDE)
        return LabelledImages(images, _labels(labels, len(images), files), (_sum(file, md5, files),))
    except ValueError as error:
        raise UsageError(f"{file} is no batch of {files.name}: {error}; unpack the archive anew") from error


def _labels(labels: object, count: int, files: CifarFiles) -> Tensor:
    if not isinstance(labels, list):
        raise ValueError(f"it holds no list called {files.labels_key!r}")
    if set(map(type, labels)) != {int} or not 0 <= min(labels) <= max(labels) < files.classes:
        raise ValueError(f"its labels are not all whole numbers from 0 to {files.classes - 1}")
    if len(labels) != count:
        raise ValueError(f"it has {count} images and {len(labels)} labels")
    return torch.tensor(labels, dtype=torch.long)


def _sum(file: Path, md5: str, files: CifarFiles) -> FileSum:
    return FileSum(file=file.name, md5=md5, official=md5 == files.md5[file.name])
