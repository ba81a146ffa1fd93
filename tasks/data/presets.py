"""Public data sets as they are unpacked: Cityscapes, PASCAL VOC and ADE20K."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from compress.errors import UsageError

from .image_discovery import Tree
from .mask_folder import open_splits, splits_of
from .public_classes import KNOWN_LISTS, LABEL_ID_COUNT, LABEL_IDS
from .source import DataSource, Place

PRESETS = {
    "cityscapes": "Cityscapes under `data_root`, leftImg8bit/ and gtFine/: road scenes, 19 classes; 500 are held out",
    "voc": "PASCAL VOC under `data_root`, as VOCdevkit/VOC2012: objects, 21 classes; 1,449 are held out",
    "ade20k": "ADE20K under `data_root`, as ADEChallengeData2016: scenes, 150 classes; 2,000 are held out",
}
"""Descriptions for `compress list data`."""
PRESET_SETTINGS = frozenset({"images", "masks", "list_file", "split", "ignore_index"})
"""Settings that may override a published layout."""
FOLDERS = {
    "cityscapes": ("leftImg8bit", ("", "cityscapes")),
    "voc": ("JPEGImages", ("", "VOC2012", "VOCdevkit/VOC2012", "VOC2007", "VOCdevkit/VOC2007")),
    "ade20k": ("annotations", ("", "ADEChallengeData2016")),
}
"""A folder by which each is told, and where it may lie."""


def open_preset(name: str, place: Place) -> DataSource:
    """The data set as its owners arrange it; `place.labels` says where something else is meant.

    Raises `UsageError` if it is not there or does not pair up.
    """
    sign, below = FOLDERS[name]
    root = next((place.root / folder for folder in below if (place.root / folder / sign).is_dir()), None)
    if root is None:
        raise UsageError(f"no {name} in {place.root}: a folder {sign}/ is expected there; docs/data.md shows it whole")
    usual, classes = dict(_USUAL[name](root)), KNOWN_LISTS[name]
    if name == "cityscapes" and "labelIds" in str(place.labels.masks or usual["masks"]):
        others = [str(value) for value in range(LABEL_ID_COUNT) if value not in LABEL_IDS]
        classes, usual["ignore_index"] = replace(classes, values=LABEL_IDS), ",".join(others)
    chosen = {key: value for key in usual if (value := getattr(place.labels, key))}
    labels = place.labels.model_copy(update=usual | chosen)
    return open_splits(
        name,
        classes,
        splits_of(Tree(root, place.follow_links), labels),
        replace(place, root=root, labels=labels),
        public=True,
    )


def _cityscapes(root: Path) -> dict[str, str | bool]:
    """Masks of training ids, or those that the owners ship, from which they are has_training_ids."""
    has_training_ids = any((root / "gtFine").glob("*/*/*_labelTrainIds.png"))
    return {
        "images": "leftImg8bit/{split}/*/*_leftImg8bit.png",
        "masks": f"gtFine/{{split}}/*/*_gtFine_{'labelTrainIds' if has_training_ids else 'labelIds'}.png",
        "split": "val",  # the labels of test are kept by the owners: its files are void
    }


def _voc(root: Path) -> dict[str, str | bool]:
    return {
        "images": "JPEGImages/*.jpg",
        "masks": "SegmentationClass/*.png",
        "list_file": "ImageSets/Segmentation/{split}.txt",
        "split": "val",
    }


def _ade20k(root: Path) -> dict[str, str | bool]:
    return {
        "images": "images/{split}/*.jpg",
        "masks": "annotations/{split}/*.png",
        "split": "validation",
        "reduce_zero_label": True,
    }


_USUAL: Mapping[str, Callable[[Path], Mapping[str, str | bool]]] = {
    "cityscapes": _cityscapes,
    "voc": _voc,
    "ade20k": _ade20k,
}
