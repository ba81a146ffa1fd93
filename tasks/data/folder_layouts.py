"""Where images and masks lie in the folders that people have: found by the usual names, or by patterns.

The usual names are `images` and `masks` and their likes, in folders by split or with splits in them, one folder of
both, `test` beside `test_masks`, and lists of names in `ImageSets/Segmentation`. `docs/data.md` shows them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.errors import UsageError

from .image_discovery import Tree
from .mask_pairing import Pair, by_name, paired

TRAINING = ("train", "training", "trainaug")
HELD_OUT = ("test", "testing", "val", "validation", "valid", "dev", "default")
"""Names of splits, in the order in which they are taken; `train2017` is `train`, too."""
IMAGES = (
    "images", "image", "imgs", "img", "img_dir", "jpegimages", "leftimg8bit", "photos", "rgb", "input", "inputs",
    "images_png",
)  # fmt: skip
MASKS = (
    "masks", "mask", "labels", "label", "ann_dir", "annotations", "annotation", "segmentationclass",
    "segmentationclassraw", "gtfine", "gt", "groundtruth", "ground_truth", "label_maps", "labelmaps", "seg",
    "segmentation", "segmentations", "targets", "masks_png", "stuffthingmaps",
)  # fmt: skip
BESIDE = re.compile(r"(.+?)[_\- ]?(?:masks?|labels?|annot|annotations?|gt)", re.IGNORECASE)
"""A folder of masks beside the folder of its images: `train_masks`, `trainannot`."""
MASK_END = re.compile(
    r"[_\-. ](?:masks?|labels?|seg|segmentation|gt|l|annotation|labelids|labeltrainids)$", re.IGNORECASE
)
"""How names of masks end that lie in the folder of their images."""
LISTS = ("ImageSets/Segmentation", "ImageSets", "splits", "lists", "")


@dataclass(frozen=True, kw_only=True)
class Split:
    """The images and masks of one split, or of a whole data set without splits, before they are paired."""

    name: str | None
    images: Path
    masks: Path
    tree: Tree

    def pairs(self) -> tuple[Pair, ...]:
        """Raises `UsageError` for what does not pair up: see `paired`."""
        if self.images == self.masks:
            return _in_one_folder(self.tree, self.images)
        for folder in (self.images, self.masks):
            if not folder.is_dir():
                raise UsageError(f"no folder {folder}: every folder of images needs one of label maps beside it")
        images, masks = (self.tree.images(folder) for folder in (self.images, self.masks))
        if not masks.files:
            kinds = f" but {', '.join(sorted(masks.others))}" if masks.others else ""
            raise UsageError(
                f"{self.masks} holds no image file{kinds}: masks are images, best PNG; draw polygons and arrays first"
            )
        if self.name is None:
            self._require_no_splits(images.files)
        named = by_name(images.files, self.images), by_name(masks.files, self.masks)
        return paired(*named, (str(self.images), str(self.masks)))

    def _require_no_splits(self, files: Sequence[Path]) -> None:
        """Raise `UsageError` where folders of splits lie deeper, which would be scored together."""
        for file in files:
            for folder in file.relative_to(self.images).parts[:-1]:
                if plain(folder) in TRAINING:
                    raise UsageError(
                        f"{self.images} has a folder {folder} deeper in it: say where the splits are with `images` and "
                        "`masks`, patterns such as 'images/*/{split}/*.jpg'"
                    )


def splits_in(tree: Tree) -> list[Split]:
    """All splits that lie below a folder by the usual names; none where there are none."""
    folders = tree.folders(tree.root)
    splits = [*_by_split(tree, folders), *_split_inside(tree, folders), *_beside(tree, folders)]
    images, masks = _called(folders, IMAGES), _called(folders, MASKS)
    if not splits and images and masks:
        splits = [Split(name=None, images=images, masks=masks, tree=tree)]
    return [split for split in splits if tree.images(split.masks).files] or splits


def _by_split(tree: Tree, folders: Sequence[Path]) -> Iterator[Split]:
    """`train/images` and `train/masks`; or images and masks in one folder, `train`."""
    for folder in folders:
        inside = tree.folders(folder)
        images, masks = _called(inside, IMAGES), _called(inside, MASKS)
        if images and masks and plain(folder.name) in (*TRAINING, *HELD_OUT):
            yield Split(name=folder.name, images=images, masks=masks, tree=tree)


def _split_inside(tree: Tree, folders: Sequence[Path]) -> Iterator[Split]:
    """`images/train` and `masks/train`."""
    images, masks = _called(folders, IMAGES), _called(folders, MASKS)
    if images and masks:
        names = {folder.name: folder for folder in tree.folders(masks)}
        for folder in tree.folders(images):
            if plain(folder.name) in (*TRAINING, *HELD_OUT) and folder.name in names:
                yield Split(name=folder.name, images=folder, masks=names[folder.name], tree=tree)


def _beside(tree: Tree, folders: Sequence[Path]) -> Iterator[Split]:
    """`train` beside `train_masks`."""
    by_folder_name = {folder.name: folder for folder in folders}
    for folder in folders:
        match = BESIDE.fullmatch(folder.name)
        images = by_folder_name.get(match[1]) if match else None
        if images and plain(images.name) in (*TRAINING, *HELD_OUT):
            yield Split(name=images.name, images=images, masks=folder, tree=tree)


def one_folder_splits(tree: Tree) -> list[Split]:
    """Folders by split, or the folder itself, that hold each image with its mask beside it."""
    folders = [folder for folder in tree.folders(tree.root) if plain(folder.name) in (*TRAINING, *HELD_OUT)]
    splits = [Split(name=folder.name, images=folder, masks=folder, tree=tree) for folder in folders]
    return [
        split
        for split in splits or [Split(name=None, images=tree.root, masks=tree.root, tree=tree)]
        if _parted(tree, split.images)[1]
    ]


def _in_one_folder(tree: Tree, folder: Path) -> tuple[Pair, ...]:
    images, masks = _parted(tree, folder)
    return paired(by_name(images, folder), by_name(masks, folder), (str(folder), str(folder)))


def _parted(tree: Tree, folder: Path) -> tuple[list[Path], list[Path]]:
    """The images and the masks of one folder: `x.jpg` with `x.png`, or with `x_mask.png`."""
    files = tree.images(folder).files
    photographs = {file.with_suffix("") for file in files if file.suffix.lower() in {".jpg", ".jpeg"}}
    masks = {
        file
        for file in files
        if MASK_END.search(file.stem) or (file.suffix.lower() == ".png" and file.with_suffix("") in photographs)
    }
    return [file for file in files if file not in masks], sorted(masks)


def _called(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The folder with the first of these names, ignoring case."""
    by_folder_name = {folder.name.lower(): folder for folder in folders}
    return next((by_folder_name[name] for name in names if name in by_folder_name), None)


def plain(split: str) -> str:
    """The name of a split in lower case, without a year."""
    return re.sub(r"[_\-]?(?:19|20)\d\d$", "", split.lower())
