"""Settings of the student: what it begins with, how large it may be, and how long it may learn."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from compress.data_settings import WeightSettings
from compress.setting_types import MODELS, Positive

Minutes = Annotated[float, Field(gt=0, le=100_000)]
LIMITS = ("max_params", "max_mb", "max_ms")
"""Settings that choose a student where no name does."""


class StudentSettings(WeightSettings):
    """Settings of a student beside its name. The limits choose one if no name is set."""

    student_weights: Annotated[str | None, MODELS] = Field(
        None,
        description="What the student begins with: pretrained (ImageNet weights, if they are on disk or can be "
        "downloaded), none (random numbers), or a file or folder of its weights. The default is pretrained for a run "
        "without `data`, and none for others.",
    )
    max_params: Annotated[Positive | None, MODELS] = Field(
        None, description="Choose the best student of at most so many million parameters."
    )
    max_mb: Annotated[Positive | None, MODELS] = Field(
        None, description="Choose the best student whose ONNX file has at most so many megabytes, in float32."
    )
    max_ms: Annotated[Positive | None, MODELS] = Field(
        None,
        description="Choose the best student that answers one image in at most so many milliseconds, measured here in "
        "onnxruntime on the CPU.",
    )
    minutes: Annotated[Minutes | None, MODELS] = Field(
        None,
        description="Time for all rounds, from which their number follows; it is measured at the start. The default is "
        "30 for a run without `data`; others have the number of rounds of their recipe.",
    )
