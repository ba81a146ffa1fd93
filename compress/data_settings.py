"""Settings of data: where it lies, what it is brought to, and how masks are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from compress.setting_types import DATA, MASKS, ImageSize, Numbers, Section, Share


class LabelSettings(Section):
    """Where images and their masks are, and what the pixels of masks mean. For data with label maps."""

    images: Annotated[str | None, MASKS] = Field(
        None, description="Images below the data set's folder, as a pattern: 'photos/{split}/*.jpg'."
    )
    masks: Annotated[str | None, MASKS] = Field(
        None, description="Their masks, as a pattern: 'masks/{split}/*_mask.png'."
    )
    list_file: Annotated[str | None, MASKS] = Field(
        None, description="List of image names below the data set's folder, one per line: 'lists/{split}.txt'."
    )
    split: Annotated[str | None, MASKS] = Field(
        None, description="Split that is held out. The default is the first of test, val and validation that exists."
    )
    class_names: Annotated[str | None, MASKS] = Field(
        None,
        description="Class names: a text or JSON file, or one of ade20k, cityscapes, coco-stuff, loveda, potsdam, "
        "vaihingen and voc. The default is classes.txt, or a similar file, in the data set's folder.",
    )
    mask_values: Annotated[Numbers | None, MASKS] = Field(
        None, description="Mask value of each class, such as 0,255. The default is 0, 1, 2, ..."
    )
    ignore_index: Annotated[Numbers | None, MASKS] = Field(
        None, description="Mask values that are not counted, such as 0 or 0,254. 255 never counts unless it is a class."
    )
    reduce_zero_label: Annotated[bool, MASKS] = Field(
        False, description="Masks number the classes from 1, and 0 is not counted, as in ADE20K and mmsegmentation."
    )

    threshold: Annotated[Share | None, MASKS] = Field(
        None,
        description="For binary segmenters of one logit (classes=1, sigmoid): probability from which a pixel is the "
        "second class. The default is 0.5; `teach` trains such a network if it is given.",
    )

    def labels(self) -> LabelSettings:
        """These settings alone, of a model that has others too."""
        return LabelSettings(**{key: getattr(self, key) for key in LabelSettings.model_fields})


class HeldOutSettings(LabelSettings):
    """The data that a model is scored on."""

    data: Annotated[str | None, DATA] = Field(
        None,
        description="Data set by name: `compress list data`. The default is the one that the model was trained for, or "
        "the embedded one of its task if the file names none.",
    )
    data_root: Annotated[Path | None, DATA] = Field(
        None, description="The data set's folder or its parent, for data on your disk."
    )
    image_size: Annotated[ImageSize, DATA] = Field(
        None,
        description="Resize images on your disk to this shorter side, in pixels. The default is the model's own size. "
        "With --teacher it is 224 for image-folder, and the images' own size for others.",
    )
