"""The embedded scenes with a tenth of the held-out ones, where a test looks at something else than their scores."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from compress.tasks.data import SOURCES, LabelledImages, Place, digits

SCENES = 40


def score_on_few_scenes(patch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone, `digit-scenes` holds out 40 scenes."""
    listing = SOURCES["digit-scenes"]
    source = replace(listing.open(Place()), held_out=_held_out)
    patch.setitem(SOURCES, "digit-scenes", replace(listing, open=lambda place: source))


@cache
def _held_out() -> LabelledImages:
    scans = digits.split("held-out")
    return LabelledImages(*digits.compose(*scans, SCENES, torch.Generator().manual_seed(digits.SPLIT_SEED)))
