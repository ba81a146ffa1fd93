"""CamVid (Brostow et al. 2009) in SegNet's version: road scenes, 11 classes, 367 + 101 + 233 images of 480x360."""

from __future__ import annotations

from compress.errors import UsageError
from compress.task import IGNORE_INDEX

from .label_maps import Pairs, paired_source
from .masks import Reading, index_table, indices
from .public_classes import KNOWN_LISTS
from .source import DataSource, LabelledImages, Place

*_counted, _void = KNOWN_LISTS["camvid"].names
CLASS_NAMES, VOID = tuple(_counted), len(_counted)
TRAINING, HELD_OUT = "train", "test"


def open_camvid(place: Place) -> DataSource:
    """`root/{train,test}` with their label maps in `root/{train,test}annot`; 11 is void.

    The 101 images of `val` are not opened, because they are for choosing settings. Raises `UsageError` if the folders
    are not there or do not pair up.
    """
    root = next((folder for folder in (place.root, place.root / "camvid") if (folder / HELD_OUT).is_dir()), None)
    if root is None:
        raise UsageError(f"no CamVid in {place.root}: train/, trainannot/, test/ and testannot/ are expected there")
    masks = Reading(indices(index_table(range(len(CLASS_NAMES)), void=(VOID, IGNORE_INDEX))))
    held_out = Pairs.find(root / HELD_OUT, root / f"{HELD_OUT}annot", place.image_size)

    def training() -> LabelledImages:
        return Pairs.find(root / TRAINING, root / f"{TRAINING}annot", place.image_size).read(masks, CLASS_NAMES)

    return paired_source(
        "camvid", CLASS_NAMES, place, held_out.sizes, training, lambda: held_out.read(masks, CLASS_NAMES)
    )
