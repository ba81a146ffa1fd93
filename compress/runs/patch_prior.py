"""The patch-similarity prior of a run: its weight follows from the teacher unless it is set."""

from __future__ import annotations

from torch import nn

from compress.runs.resolution import PATCH_ENTROPY, unused_settings
from compress.settings import ResolvedSettings
from compress.synthesis.patch_entropy import patch_entropy_weight
from compress.training.progress import console


def with_patch_prior(
    settings: ResolvedSettings, teacher: nn.Module, image_shape: tuple[int, int, int]
) -> ResolvedSettings:
    """The settings with a weight of the patch-similarity prior, which is said if it was not set and is above 0.

    Raises `UsageError` if a weight is set for a teacher without patches.
    """
    if not unused_settings(settings.method).isdisjoint({"inversion", PATCH_ENTROPY}):
        return settings
    inversion = settings.inversion
    weight = patch_entropy_weight(teacher, image_shape, weight=inversion.patch_entropy, bn=inversion.bn)
    if weight and inversion.patch_entropy is None:
        console.print(
            "the teacher has patches and no batch normalisation: the patches of a synthetic image differ from one "
            f"another, {PATCH_ENTROPY} {weight:g}",
            soft_wrap=True,
        )
    return settings.model_copy(update={"inversion": inversion.model_copy(update={"patch_entropy": weight})})
