"""Which value or colour of a mask is which class, by the class list and the settings."""

from __future__ import annotations

from collections.abc import Sequence

from compress.errors import UsageError
from compress.settings import LabelSettings
from compress.task import IGNORE_INDEX

from .class_list import VOID
from .masks import Reading, by_colour, by_index_or_colour, index_table, indices
from .public_classes import ClassList

LARGEST = 65_535
"""Void of 16-bit masks, as 255 is of others."""


def reading(classes: ClassList, settings: LabelSettings, *, public: bool) -> Reading:
    """How masks are read: by colour where the user's list has colours, else by index; `public` lists by either.

    Raises `UsageError` for settings that contradict each other or the list.
    """
    counted = [index for index, name in enumerate(classes.names) if name.lower() != VOID]
    void = [index for index in range(len(classes.names)) if index not in counted]
    ignored = as_numbers(settings.ignore_index)
    values = _values(classes, counted, settings)
    unused = [value for value in (IGNORE_INDEX, LARGEST) if value not in values]
    not_counted = [classes.values[index] if classes.values else index for index in void]
    if settings.mask_values is not None or settings.reduce_zero_label:
        not_counted = [0] if settings.reduce_zero_label else []
    table = index_table(values, [*unused, *not_counted, *ignored])
    if ignored and set(ignored) & set(values):
        raise UsageError(f"`ignore_index` {settings.ignore_index} is the value of a class, too: choose another")
    shown = f"{min(values)} to {max(values)}" if len(values) > 6 else ", ".join(map(str, values))
    index = indices(
        table,
        f": the {len(values)} classes are {shown}; if {{value}} does not count pass `ignore_index` {{value}}, if it is "
        "a class say the value of each with `mask_values`",
    )
    doubtful = IGNORE_INDEX in unused and not ignored and IGNORE_INDEX not in not_counted
    by_values = settings.mask_values is not None or settings.reduce_zero_label
    if not classes.colours or (by_values and not public):
        return Reading(index, doubtful)
    colour_classes = index_table(counted, void)[: len(classes.names)]
    advice = "" if public else "; if masks hold indices, say the value of each class with `mask_values`"
    colour = by_colour(classes.colours, colour_classes, advice)
    return Reading(by_index_or_colour(index, colour), doubtful) if public else Reading(colour)


def _values(classes: ClassList, counted: Sequence[int], settings: LabelSettings) -> list[int]:
    """The value of each counted class in a mask."""
    if settings.mask_values is not None and settings.reduce_zero_label:
        raise UsageError("`mask_values` says what every value is: leave out `reduce_zero_label`")
    if settings.reduce_zero_label:
        return list(range(1, len(counted) + 1))
    if settings.mask_values is None:
        return [classes.values[index] if classes.values else index for index in counted]
    values = as_numbers(settings.mask_values)
    if len(values) != len(counted) or len(set(values)) < len(values):
        raise UsageError(
            f"`mask_values` {settings.mask_values} gives {len(set(values))} values for {len(counted)} classes: "
            "give one a class, in their order"
        )
    return values


def as_numbers(text: str | None) -> list[int]:
    """The numbers in `0,255`."""
    return [int(number) for number in (text or "").split(",") if number.strip()]
