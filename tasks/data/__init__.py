"""Data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

from compress.errors import UsageError
from compress.settings import DistillSettings, HeldOutSettings, LabelSettings, TeachSettings
from compress.storage.files import digest
from compress.tables import OpenTable

from ..named_task import find_task
from . import digits
from .camvid import open_camvid
from .cifar import CIFAR10, CIFAR100, open_cifar
from .image_folder import open_image_folder
from .mask_folder import open_mask_folder
from .no_data import NO_DATA
from .nyuv2 import NYUV2, NYUV2_40, open_nyuv2
from .presets import PRESET_SETTINGS, PRESETS, open_preset
from .source import DataSource, FileSum, LabelledImages, Listing, Place

__all__ = [
    "SOURCES", "DataSource", "FileSum", "LabelledImages", "Listing", "Place", "find_data", "open_data",
    "open_settings",
]  # fmt: skip


def _embedded(listing: str, side: digits.Side) -> DataSource:
    """One of the sets of digits, scored on one side of its split; all learn from the same training side."""
    scenes = listing.startswith("digit-scenes")
    read = digits.digit_scenes if scenes else digits.digit_images
    size = digits.SCENE_SIZE if scenes else digits.IMAGE_SIZE
    return DataSource(
        name=listing,
        task="segmentation" if scenes else "classification",
        class_names=digits.SCENE_CLASS_NAMES if scenes else digits.CLASS_NAMES,
        image_shape=(3, size, size),
        image_size=size,
        fingerprint=digest(str(scenes), str(digits.VERSION), version("scikit-learn")),
        training=lambda: LabelledImages(*read("training")),
        held_out=cache(lambda: LabelledImages(*read(side))),
        mirror=False,
        background=0 if scenes else None,
    )


def _embedded_listing(name: str, side: digits.Side, description: str) -> Listing:
    source = _embedded(name, side)
    return Listing(name=name, task=source.task, description=description, open=lambda place: source, on_disk=False)


def _labelled_photographs(
    name: str, description: str, open_place: Callable[[Place], DataSource], takes: frozenset[str] = frozenset()
) -> Listing:
    """The listing of a data set of photographs with label maps of any size."""
    return Listing(
        name=name,
        task="segmentation",
        description=description,
        open=open_place,
        resizes=True,
        crops=True,
        label_settings=takes,
    )


_OURS = (
    _embedded_listing(
        "digits", "held-out", "1,797 handwritten digits of scikit-learn as 32x32 RGB images; 450 of them held out"
    ),
    _embedded_listing(
        "digit-scenes",
        "held-out",
        "64x64 scenes of up to two of those digits on textures; 400 held out, of other scans",
    ),
    _embedded_listing("digits-tuning", "tuning", "digits, scored on 269 other scans: to choose settings on"),
    _embedded_listing("digit-scenes-tuning", "tuning", "digit-scenes, scored on 400 scenes of those 269 scans"),
    Listing(
        name="cifar10",
        task="classification",
        description="CIFAR-10's python batches under `data_root`; its 10,000 test images are held out",
        open=lambda place: open_cifar(CIFAR10, place),
    ),
    Listing(
        name="cifar100",
        task="classification",
        description="CIFAR-100's python batches under `data_root`, fine labels; 10,000 test images are held out",
        open=lambda place: open_cifar(CIFAR100, place),
    ),
    Listing(
        name="image-folder",
        task="classification",
        description="png, jpg, webp and other files: `data_root` has {train,test|val}/class/*, or class/*",
        open=open_image_folder,
        resizes=True,
    ),
    _labelled_photographs(
        "camvid",
        "CamVid in SegNet's version under `data_root`: road scenes, 11 classes; 233 are held out",
        open_camvid,
    ),
    _labelled_photographs(
        "nyuv2",
        "NYUv2 under `data_root`, as its .mat or as folders: indoor scenes, 13 classes; 654 held out",
        lambda place: open_nyuv2(NYUV2, place),
    ),
    _labelled_photographs("nyuv2-40", "the same in 40 classes", lambda place: open_nyuv2(NYUV2_40, place)),
    _labelled_photographs(
        "mask-folder",
        "`data_root` has images and masks in one of many usual forms, see docs/data.md, and classes.txt",
        open_mask_folder,
        frozenset(LabelSettings.model_fields),
    ),
    *(
        _labelled_photographs(name, description, partial(open_preset, name), PRESET_SETTINGS)
        for name, description in PRESETS.items()
    ),
)
SOURCES = OpenTable("compress.data", Listing, {listing.name: listing for listing in _OURS})
"""A package adds its own by an entry point in the group `compress.data`, a script by `SOURCES[name] = ...`."""


def find_data(name: str | None, task: str) -> Listing:
    """The data set `name`, or the task's embedded default.

    Raises `UsageError` if it does not exist, does not fit the task, or is broken in the package that it comes from.
    """
    usual = find_task(task).data
    if name == NO_DATA:
        raise UsageError("this model was made without data: name images to score it on by `data` and `data_root`")
    listing = SOURCES.require(name or usual, "data set")
    if listing.task != task:
        raise UsageError(
            f"data set {listing.name!r} is for {listing.task}, not {task}: use `task` {listing.task} or `data` {usual}"
        )
    return listing


def open_data(
    name: str | None,
    task: str,
    root: Path | None = None,
    image_size: int | None = None,
    crop_size: int | None = None,
    *,
    usual: Place | None = None,
    labels: LabelSettings | None = None,
) -> DataSource:
    """The data set `name` at `root`, with images resized to `image_size` and training crops of `crop_size`.

    A size that is not given is that of `usual`, if the data set takes one. `labels` say how label maps are found and
    read. Raises `UsageError` if the data set does not exist, does not fit the task, is not there, or is given what it
    does not take.
    """
    listing, usual = find_data(name, task), usual or Place()
    _require_applicable(listing, root, image_size, crop_size, labels)
    place = replace(
        usual,
        root=root or Path(),
        image_size=image_size or usual.image_size,
        crop_size=crop_size or usual.crop_size,
        labels=labels or usual.labels,
    )
    source = listing.open(place)
    requested = name or listing.name
    if {listing.name, source.name} != {requested}:  # a model's card says where it was scored, and is looked up by it
        raise UsageError(f"data set {requested!r} calls itself {listing.name!r} and {source.name!r}: give it one name")
    return source


def open_settings(
    settings: HeldOutSettings | DistillSettings | TeachSettings, task: str, *, usual: Place | None = None
) -> DataSource:
    """The data set that the settings name, read as they say: `open_data`."""
    crop_size = None if isinstance(settings, HeldOutSettings) else settings.crop_size
    source = open_data(
        settings.data, task, settings.data_root, settings.image_size, crop_size, usual=usual, labels=settings.labels()
    )
    if settings.threshold is None:
        return source
    if source.task != "segmentation" or len(source.class_names) != 2:
        raise UsageError(
            f"`threshold` is for segmenters of two classes, and {source.name} has {len(source.class_names)} for "
            f"{source.task}: leave it out"
        )
    return replace(source, threshold=settings.threshold)


def _require_applicable(
    listing: Listing, root: Path | None, image_size: int | None, crop_size: int | None, labels: LabelSettings | None
) -> None:
    if listing.on_disk and root is None:
        raise UsageError(f"data set {listing.name!r} is on your disk: say where with `data_root`")
    if root is not None and not listing.on_disk:
        raise UsageError(f"data set {listing.name!r} is embedded: leave out `data_root` or choose another `data`")
    if image_size is not None and not listing.resizes:
        raise UsageError(f"the images of {listing.name!r} have a fixed size: leave out `image_size`")
    if crop_size is not None and not listing.crops:
        raise UsageError(f"{listing.name!r} is used as whole images: leave out `crop_size`")
    chosen = {key for key, value in (labels.model_dump(exclude_defaults=True) if labels else {}).items() if value}
    for key in sorted(chosen - listing.label_settings - {"threshold"}):
        raise UsageError(
            f"data set {listing.name!r} says itself where its labels are and what they mean: leave out `{key}`"
        )
