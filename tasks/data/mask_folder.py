"""Any folder of images and masks, with the names of the classes beside them or by the name of a public data set.

    DIR/classes.txt                  a class a line: its name, or its name and its colour, `road 128 64 128`
    DIR/train/images  DIR/train/masks
    DIR/test/images   DIR/test/masks (or val); or DIR/images and DIR/masks, all of them held out

Many other arrangements are read: see `layouts`, and docs/data.md, which also says how masks are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from compress.errors import UsageError, unknown_name
from compress.settings import LabelSettings

from .class_list import VOID, read_class_list
from .folder_layouts import HELD_OUT, LISTS, TRAINING, one_folder_splits, plain, splits_in
from .image_discovery import Tree
from .label_maps import Pairs, paired_source
from .mask_pairing import Pair, paired
from .mask_values import reading
from .path_patterns import SPLIT, files_matching, listed, names_pairs
from .public_classes import KNOWN_LISTS, ClassList
from .source import DataSource, LabelledImages, Place

CLASS_FILES = ("classes.txt", "classes.json", "labelmap.txt", "label_map.txt", "class_dict.csv", "_classes.csv")
"""Where names of classes are looked for, in `data_root` and in the folder of a split."""

Splits = Mapping[str | None, Callable[[], tuple[Pair, ...]]]
"""How the pairs of each split are found; None is all of a data set without splits."""


def open_mask_folder(place: Place) -> DataSource:
    """The folder described above; reads class names and the sizes of held-out images.

    Raises `UsageError` if the classes or a folder are missing or wrong, or if images and masks do not pair up.
    """
    settings = place.labels
    if not place.root.is_dir():
        raise UsageError(f"no folder {place.root}: `data_root` names the folder of images and masks")
    tree = _own_folder(Tree(place.root, place.follow_links), settings)
    splits = splits_of(tree, settings)
    classes = class_list((tree.root, place.root), settings.class_names)
    return open_splits("mask-folder", classes, splits, place, public=settings.class_names in KNOWN_LISTS)


def _own_folder(tree: Tree, settings: LabelSettings) -> Tree:
    """The data set's own folder: the one that was named, or the only one in it."""
    folders = tree.folders(tree.root)
    if settings.images or settings.list_file or len(folders) != 1 or splits_in(tree):
        return tree
    below = Tree(folders[0], tree.follow_links)
    return below if splits_in(below) else tree


def open_splits(name: str, classes: ClassList, splits: Splits, place: Place, *, public: bool) -> DataSource:
    """A data set of pairs by split. `place.labels.split` is held out, or the first of the usual splits."""
    masks = reading(classes, place.labels, public=public)
    split = _held_out(splits, place)
    held_out = Pairs(splits[split](), place.image_size)
    counted = [index for index, class_name in enumerate(classes.names) if class_name.lower() != VOID]
    class_names = tuple(classes.names[index] for index in counted)

    def training() -> LabelledImages:
        names = [key for key in splits if key is not None and plain(key) in TRAINING and key != split]
        if not names:
            raise UsageError(
                f"{place.root} has no train/ to train on: make train/images, train/masks, and test/ beside train/"
            )
        return Pairs(splits[names[0]](), place.image_size).read(masks, class_names)

    return paired_source(
        name=name,
        class_names=class_names,
        place=place,
        sizes=held_out.sizes,
        training=training,
        held_out=lambda: held_out.read(masks, class_names),
        palette=tuple(classes.colours[index] for index in counted) if classes.colours else (),
    )


def _held_out(splits: Splits, place: Place) -> str | None:
    chosen, names = place.labels.split, [name for name in splits if name is not None]
    if chosen is not None:
        if chosen not in splits:
            raise unknown_name(f"split of {place.root}:", chosen, names)
        return chosen
    ranked = sorted((HELD_OUT.index(plain(name)), name) for name in names if plain(name) in HELD_OUT)
    if ranked:
        return ranked[0][1]
    if None in splits:
        return None
    raise UsageError(
        f"{place.root} has {', '.join(sorted(names))} and neither test/ nor val/ with images and masks: "
        "add one, or choose with `split`"
    )


def class_list(roots: Sequence[Path], named: str | None) -> ClassList:
    """The classes by the name of a public data set, from a file that is named, or from one in `roots`."""
    if named in KNOWN_LISTS:
        return KNOWN_LISTS[named]
    if named is not None:
        file = next((path for path in (Path(named), *(root / named for root in roots)) if path.is_file()), None)
        if file is None:
            raise unknown_name("list of classes", named, KNOWN_LISTS, "(give one of these or a file for `class_names`)")
        return read_class_list(file)
    places = [folder for root in roots for folder in (root, *(root / name for name in (*TRAINING, *HELD_OUT)))]
    files = [folder / name for folder in places for name in CLASS_FILES if (folder / name).is_file()]
    return read_class_list(files[0] if files else roots[0] / CLASS_FILES[0])


def splits_of(tree: Tree, settings: LabelSettings) -> Splits:
    """The splits by the patterns of the settings, or by the usual names of folders; then by lists."""
    if (settings.images is None) != (settings.masks is None):
        there, missing = ("images", "masks") if settings.images else ("masks", "images")
        raise UsageError(f"`{there}` is a pattern and `{missing}` is not given: give both, or neither")
    if settings.images and settings.masks:
        splits = _by_patterns(tree, settings.images, settings.masks)
    else:
        splits = {split.name: split.pairs for split in splits_in(tree) or one_folder_splits(tree)}
    if not splits and settings.list_file:
        splits = {None: tuple}  # the list may hold the paths of both
    if not splits:
        raise UsageError(
            f"{tree.root} holds no images with masks by the usual names: make images/ and masks/ there, or say where "
            "they are with `images` and `masks`, patterns such as 'photos/{split}/*.jpg'; docs/data.md has a list"
        )
    return _by_lists(tree.root, settings.list_file, splits)


def _by_patterns(tree: Tree, images: str, masks: str) -> Splits:
    by_split, masks_by_split = files_matching(tree, images, "images"), files_matching(tree, masks, "masks")
    both = [name for name in by_split if name in masks_by_split]
    if not both:
        raise UsageError(
            f"`images` has the splits {_names(by_split)} and `masks` {_names(masks_by_split)}: "
            f"write {SPLIT} into both or neither"
        )
    places = f"`images` {images!r}", f"`masks` {masks!r}"
    return {name: partial(paired, by_split[name], masks_by_split[name], places) for name in both}


def _names(splits: Mapping[str | None, object]) -> str:
    return ", ".join(sorted(name or "(none)" for name in splits))


def _by_lists(root: Path, pattern: str | None, splits: Splits) -> Splits:
    """Where there are no folders by split, lists of names make them."""
    if None not in splits:
        if pattern is not None:
            raise UsageError(f"`list_file` {pattern!r} and folders by split are both there: leave out one of them")
        return splits
    names = (*HELD_OUT, *TRAINING)
    if pattern is not None:
        files = {name: root / pattern.replace(SPLIT, name) for name in (names if SPLIT in pattern else ("test",))}
    else:
        files = next(filter(_any_file, ({name: root / place / f"{name}.txt" for name in names} for place in LISTS)), {})
    if pattern is not None and not _any_file(files):
        raise UsageError(f"`list_file` {pattern!r} leads to no file below {root}")
    if not _any_file(files):
        return splits
    pairs = splits[None]()
    usable = {name: file for name, file in files.items() if file.is_file() and names_pairs(file, root, pairs)}
    if not usable and pattern is not None:
        usable = {name: file for name, file in files.items() if file.is_file()}
    lists: dict[str | None, Callable[[], tuple[Pair, ...]]] = {
        name: partial(listed, file, root, pairs) for name, file in usable.items()
    }
    return lists or splits


def _any_file(files: Mapping[str, Path]) -> bool:
    return any(file.is_file() for file in files.values())
