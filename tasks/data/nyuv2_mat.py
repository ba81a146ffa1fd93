"""`nyu_depth_v2_labeled.mat`, a MATLAB 7.3 file, which is HDF5: read image by image, never as a whole (2.8 GB)."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from compress.errors import UsageError, first_line
from compress.framing import scaled
from compress.storage.untrusted import read_bytes
from compress.task import IGNORE_INDEX

from .image_files import require_memory
from .label_maps import resized
from .nyuv2_classes import LABELS, TO_13, class_of_labels
from .source import LabelledImages

SPLITS = "splits.mat"
INDICES = {"train": "trainNdxs", "test": "testNdxs"}
NUMBERS = {"double", "single", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
SIDE_LIMIT = 4096
CHUNK_LIMIT = 100_000_000  # bytes that reading one image may decompress; a whole image has 0.9 million
SPLITS_LIMIT = 100_000  # bytes, and numbers in it; the official file has 2,626


class LabelledMat:
    """The file and the official split beside it; images lie transposed in it, `[n, 3, w, h]` and `[n, w, h]`.

    Raises `UsageError` if one of the two is missing, broken, or not what its name says.
    """

    def __init__(self, file: Path, classes: int) -> None:
        self._file = file
        self._classes = _class_table(classes)
        with self._opened() as (images, labels, names):
            if images.ndim != 4 or images.shape[1] != 3 or images.dtype != np.uint8:
                raise ValueError(f"images are {images.dtype} {list(images.shape)}, not uint8 [n, 3, width, height]")
            if labels.shape != (len(images), *images.shape[2:]) or labels.dtype != np.uint16:
                raise ValueError(f"labels are {labels.dtype} {list(labels.shape)} for images {list(images.shape)}")
            if names.size != LABELS or max(images.shape[2:]) > SIDE_LIMIT:
                raise ValueError(f"it holds {names.size} names where NYUv2 has {LABELS}, or images are too large")
            self._count, self._size = len(images), (int(images.shape[3]), int(images.shape[2]))
        self._members = _read_splits(file.parent / SPLITS, self._count)

    def sizes(self, split: str, side: int | None) -> Tensor:
        """Height and width `[n, 2]` that the images of a split are read at."""
        return torch.tensor(scaled(self._size, side)).expand(len(self._members[split]), 2)

    def read(self, split: str, side: int | None) -> LabelledImages:
        """The images and label maps of a split, in the order of the split file."""
        members, (height, width) = self._members[split], scaled(self._size, side)
        require_memory(self._file, len(members) * height * width * 4)
        pixels = torch.empty(len(members), 3, height, width, dtype=torch.uint8)
        targets = torch.empty(len(members), height, width, dtype=torch.uint8)
        with self._opened() as (images, labels, _):
            for index, member in enumerate(members):
                classes = self._decoded(labels[member])
                picture = Image.fromarray(np.ascontiguousarray(images[member].transpose(2, 1, 0)))
                pixels[index], targets[index] = resized(picture, Image.fromarray(classes), (height, width))
        return LabelledImages(pixels, targets)

    def _decoded(self, labels: NDArray[np.uint16]) -> NDArray[np.uint8]:
        if labels.max() >= len(self._classes):
            raise ValueError(f"labels hold {labels.max()}, but names are 1 to {len(self._classes) - 1}")
        return np.ascontiguousarray(self._classes[labels].T)

    @contextmanager
    def _opened(self) -> Iterator[tuple[h5py.Dataset, h5py.Dataset, h5py.Dataset]]:
        try:
            with h5py.File(self._file, "r") as content:
                datasets = [content.get(name) for name in ("images", "labels", "names")]
                if not all(isinstance(dataset, h5py.Dataset) for dataset in datasets):
                    raise ValueError("it holds no images, labels and names")
                if any(dataset.file != content or dataset.external or dataset.is_virtual for dataset in datasets):
                    raise ValueError("its data lie in other files")
                if any(math.prod(dataset.chunks or ()) * dataset.dtype.itemsize > CHUNK_LIMIT for dataset in datasets):
                    raise ValueError("its data are packed in pieces that are too large")
                yield datasets[0], datasets[1], datasets[2]
        except UsageError:
            raise
        except Exception as error:  # HDF5 reports what is broken by many types, from OSError to RuntimeError
            reason = first_line(error)
            raise UsageError(
                f"cannot read {self._file}: {reason}; the MATLAB 7.3 file that NYUv2's owners ship is expected"
            ) from error


def _class_table(classes: int) -> NDArray[np.uint8]:
    """Class of each label 0 to 894: 0, unlabelled, is not counted."""
    of_40 = np.array(class_of_labels())
    by_name = np.array(TO_13)[of_40 - 1] if classes == max(TO_13) else of_40
    return np.concatenate([[IGNORE_INDEX], by_name - 1]).astype(np.uint8)


def _read_splits(file: Path, count: int) -> dict[str, list[int]]:
    """Positions from 0 by split; the file, in MATLAB 5's format, counts from 1."""
    from scipy.io import loadmat, whosmat

    try:
        content, keys = io.BytesIO(read_bytes(file, SPLITS_LIMIT)), list(INDICES.values())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            listed = whosmat(content)  # by the headers: reading an array or a cell array makes what its header says
            if any(n in keys and (kind not in NUMBERS or math.prod(s) > SPLITS_LIMIT) for n, s, kind in listed):
                raise ValueError("it holds other things than lists of numbers")
            read = loadmat(content, variable_names=keys)
            splits = {name: read[key].astype(np.int64).ravel() - 1 for name, key in INDICES.items()}
    except Exception as error:  # SciPy raises many types, and KeyError for what is not there
        raise UsageError(
            f"cannot read {file}: {type(error).__name__}; put NYUv2's official split file, {SPLITS}, beside the .mat"
        ) from error
    together = np.concatenate(list(splits.values()))
    valid = together[(together >= 0) & (together < count)]
    if not len(splits["test"]) or len(np.unique(valid)) < len(together):
        raise UsageError(f"{file} does not split the {count} images beside it: it names others, or some twice")
    return {name: members.tolist() for name, members in splits.items()}
