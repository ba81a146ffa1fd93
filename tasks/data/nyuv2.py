"""NYUv2 (Silberman et al. 2012): 1,449 indoor scenes of 640x480 pixels, in 13 or in 40 classes.

Taken as its owners ship it, `nyu_depth_v2_labeled.mat` with `splits.mat` beside it, or as the folders in use:
`image/{train,test}` with `seg13/` or `seg40/`, or `images/` with `labels13/` or `labels40/`, all of them held out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from compress.errors import UsageError

from .label_maps import Pairs, paired_source
from .masks import Reading, index_table, indices
from .nyuv2_classes import NAMES_13, NAMES_40
from .source import DataSource, LabelledImages, Place

TRAINING, HELD_OUT = "train", "test"
MAT = "nyu_depth_v2_labeled.mat"


@dataclass(frozen=True)
class Variant:
    """One of the two sets of classes."""

    name: str
    class_names: tuple[str, ...]


NYUV2 = Variant("nyuv2", NAMES_13)
NYUV2_40 = Variant("nyuv2-40", NAMES_40)


def open_nyuv2(variant: Variant, place: Place) -> DataSource:
    """The layout that is found in `root` or `root/nyuv2`; reads names and sizes, no image.

    Raises `UsageError` if there is none, or if it is broken.
    """
    for root in (place.root, place.root / "nyuv2"):
        if (root / MAT).is_file():
            from .nyuv2_mat import LabelledMat  # h5py is for this layout only

            mat = LabelledMat(root / MAT, len(variant.class_names))
            return _source(
                variant, place, mat.sizes(HELD_OUT, place.image_size), partial(mat.read, side=place.image_size)
            )
        for images, labels in (("image", "seg"), ("images", "labels")):
            if (root / images).is_dir():
                return _folders(variant, place, root / images, root / f"{labels}{len(variant.class_names)}")
    raise UsageError(
        f"no NYUv2 in {place.root}: {MAT}, or image/ and seg{len(variant.class_names)}/, are expected there"
    )


def _folders(variant: Variant, place: Place, images: Path, labels: Path) -> DataSource:
    # 255 is not a class here: it marks void in maps that count classes from 0, which would be misread
    masks = Reading(indices(index_table(range(1, len(variant.class_names) + 1), void=(0,))))
    split = (images / HELD_OUT).is_dir()
    folders = (images / HELD_OUT, labels / HELD_OUT) if split else (images, labels)
    held_out = Pairs.find(*folders, place.image_size)

    def read(part: str) -> LabelledImages:
        if part == HELD_OUT:
            return held_out.read(masks, variant.class_names)
        if not split:
            raise UsageError(f"{images} has no {TRAINING}/ to train on: make {TRAINING}/ and {HELD_OUT}/ in it")
        return Pairs.find(images / TRAINING, labels / TRAINING, place.image_size).read(masks, variant.class_names)

    return _source(variant, place, held_out.sizes, read)


def _source(variant: Variant, place: Place, sizes: Tensor, read: Callable[[str], LabelledImages]) -> DataSource:
    return paired_source(
        variant.name, variant.class_names, place, sizes, lambda: read(TRAINING), lambda: read(HELD_OUT)
    )
