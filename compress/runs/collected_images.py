"""The real images that some methods learn from, read as the settings say."""

from __future__ import annotations

from compress.errors import UsageError
from compress.framing import CENTRAL_SQUARE
from compress.gan.collected import Collected
from compress.methods import find_method
from compress.settings import DistillSettings
from compress.tasks.data import DataSource
from compress.tasks.data.collected import read_collected, read_photographs


def read_collected_images(settings: DistillSettings, source: DataSource) -> Collected | None:
    """The images of `collected`; raises `UsageError` unless the method takes them, they are sound and enough.

    Without data to score on, a tenth of those without labels is kept for the comparison of student and teacher.
    """
    name, method = settings.method, find_method(settings.method)
    if not method.needs_collected and settings.collected is None:
        return None
    if source.task != "classification" and method.shares_classifier:
        raise UsageError(f"{name} is for classification only: use `method` fast-dfkd for {source.task}")
    if settings.collected is None:
        raise UsageError(f"{name} learns from collected real images: give their folder with `collected`")
    if method.shares_classifier:
        split = read_collected(settings.collected, source, follow_links=settings.follow_links)
        collected = Collected(split.images, split.targets)
    else:
        framing = source.framing if source.task == "classification" else CENTRAL_SQUARE
        images = read_photographs(settings.collected, source.image_shape, framing, follow_links=settings.follow_links)
        collected = Collected(images, None) if settings.data else Collected.with_some_unseen(images)
    if method.needs_collected:  # beside samples, photographs are drawn with replacement
        collected.require(max(settings.distillation.batch, settings.gan.batch if method.shares_classifier else 1))
    return collected
