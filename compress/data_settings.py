"""Settings of data: where it lies, what it is brought to, and how masks are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from compress.framing import CropMode, Interpolation
from compress.setting_types import (
    DATA,
    MASKS,
    READING,
    Channels,
    Deviations,
    ImageSize,
    Numbers,
    Pairs,
    Section,
    Share,
    Side,
)


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
        description="Class names in the network's order: a text or JSON file, or for masks one of ade20k, camvid, "
        "cityscapes, coco-stuff, loveda, nyuv2, nyuv2-40, potsdam, vaihingen and voc. The default is the teacher's "
        "own, for masks classes.txt or a similar file in the data set's folder.",
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


class PreparationSettings(Section):
    """How photographs are prepared for a network. Values that are left out are what it was trained with."""

    crop_mode: Annotated[CropMode | None, READING] = Field(
        None,
        description="Crop of photographs: the central square, the whole squashed, or the whole within borders. The "
        "default of these flags is what the teacher was trained with.",
    )
    crop_pct: Annotated[Annotated[float, Field(gt=0, le=1)] | None, READING] = Field(
        None, description="Share of the resized side that the crop keeps."
    )
    interpolation: Annotated[Interpolation | None, READING] = Field(None, description="Filter for resizing.")
    mean: Annotated[Channels | None, READING] = Field(
        None, description="Mean of the teacher's input per channel, for colours in [0, 1]."
    )
    std: Annotated[Deviations | None, READING] = Field(None, description="Standard deviation of it per channel.")


class FileSettings(Section):
    """How weights are read from a file that can be read in more than one way."""

    teacher_key: Annotated[str | None, READING] = Field(
        None, description="Where in the file the weights are, such as state_dict_ema. By default they are searched for."
    )
    match: Annotated[Literal["name", "order"], READING] = Field(
        "name", description="Match tensors to the network by name, or by order and shape where names are foreign."
    )
    teacher_args: Annotated[Pairs, READING] = Field(
        (),
        description="Argument of the teacher's constructor, as KEY=VALUE: encoder_output_stride=16. Repeat the flag "
        "for several. What names and shapes of weights tell needs no argument.",
    )


class ReadingSettings(PreparationSettings, LabelSettings):
    """How photographs are prepared and classes numbered. Values that are left out come from the teacher."""

    class_order: Annotated[Literal["text", "natural"] | None, READING] = Field(
        None,
        description="Order of class folders without known names: text (10 before 2, torchvision; the default) or "
        "natural (2 before 10, timm).",
    )
    follow_links: Annotated[bool, READING] = Field(False, description="Follow links out of the data's folder.")


class WeightSettings(FileSettings, ReadingSettings):
    """How data and weights are read."""


class ModelSettings(FileSettings, PreparationSettings):
    """What a model does not say itself, where it is opened without data."""

    teacher: Annotated[str | None, READING] = Field(
        None, description="Network by name (`compress list teachers`), for a weights file that does not name it."
    )
    class_names: Annotated[str | None, READING] = Field(
        None, description="Class names in the network's order: a text or JSON file. The default is the model's own."
    )
    image_size: Annotated[Side | None, READING] = Field(
        None,
        description="Resize images to this shorter side, in pixels. The default is the model's own size.",
    )
    threshold: Annotated[Share | None, READING] = Field(
        None, description="For binary segmenters: probability from which a pixel is the second class."
    )


class HeldOutSettings(WeightSettings):
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
        description="Resize images on your disk to this shorter side, in pixels. The default is the model's own size.",
    )
