"""Pairs images and masks by name: equal names, or names with a common prefix or suffix such as `_mask`."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.errors import UsageError

Named = Mapping[str, Path]
"""Files by name: their place below the folder that was searched, `/` between folders, without the ending."""
SAMPLES = 3
"""Images whose names are compared with those of all masks to see what the two have in common."""
KINDS_LIMIT = 12
"""Kinds of masks of one image that are told apart."""
LETTERS = string.ascii_letters
MARK = re.compile(r"[_\-. ].*[A-Za-z].*|")
"""What may follow the common part of a name: nothing, or a separator and a word, but no number alone."""


@dataclass(frozen=True)
class Pair:
    """An image and its label map."""

    image: Path
    labels: Path


@dataclass(frozen=True)
class Rule:
    """The prefixes and suffixes that image names and mask names have around their common part."""

    image: tuple[str, str] = ("", "")
    mask: tuple[str, str] = ("", "")
    flat: bool = False
    """Whether the folders that files are in do not count."""

    def images(self, named: Named) -> dict[str, Path]:
        """Images by the common part of their names."""
        return self._cores(named, *self.image)

    def masks(self, named: Named) -> dict[str, Path]:
        """Masks by the common part of their names."""
        return self._cores(named, *self.mask)

    def _cores(self, named: Named, prefix: str, suffix: str) -> dict[str, Path]:
        cores: dict[str, Path] = {}
        for name, file in named.items():
            folder, stem = os.path.split(name)
            if len(stem) > len(prefix) + len(suffix) and stem.startswith(prefix) and stem.endswith(suffix):
                core = stem[len(prefix) : len(stem) - len(suffix)]
                cores[core if self.flat else f"{folder}/{core}"] = file
        return cores

    def outcome(self, images: Named, masks: Named) -> tuple[Path, ...]:
        """The mask of each image that has one. Rules with equal outcomes are equivalent."""
        cores, by_core = self.images(images), self.masks(masks)
        return tuple(by_core[core] for core in sorted(cores, key=lambda core: cores[core]) if core in by_core)

    def common(self, images: Named, masks: Named) -> int:
        """How many images have a mask by this rule."""
        return len(self.images(images).keys() & self.masks(masks).keys())


def paired(images: Named, masks: Named, places: tuple[str, str]) -> tuple[Pair, ...]:
    """The pairs, in the order of the images' names; `places` say where both were looked for.

    Names may be alike, or differ by what all masks have more than the images (`_mask`, `_gtFine_labelTrainIds`) or the
    other way round. Raises `UsageError` for an image or a mask without a partner, and where several kinds of masks fit.
    """
    if not images:
        raise UsageError(f"{places[0]} holds no image: fill it")
    rule = _rule(images, masks, places)
    _require_partners(rule, images, masks, places)
    by_core, masks_by_core = rule.images(images), rule.masks(masks)
    return tuple(Pair(by_core[core], masks_by_core[core]) for core in sorted(by_core))


def _rule(images: Named, masks: Named, places: tuple[str, str]) -> Rule:
    """The rule by which most images have masks; raises `UsageError` if none has, or if several rules fit as well."""
    plain = Rule()
    if plain.common(images, masks) == len(images):
        return plain
    counts = {rule: rule.common(images, masks) for rule in [plain, *_candidates(images, masks)]}
    most = max(counts.values())
    if not most:
        raise UsageError(
            f"no mask in {places[1]} has the name of an image: images are called {_some(images)}, masks "
            f"{_some(masks)}; name both by patterns, `images` and `masks`"
        )
    best = [rule for rule, count in counts.items() if count == most and (most == len(images) or rule != plain)]
    best = (
        [plain]
        if counts[plain] == most
        else list({rule.outcome(images, masks): rule for rule in reversed(best)}.values())
    )
    if len(best) > 1:
        kinds = sorted({f"*{rule.mask[1]}" if rule.mask[1] else f"{rule.mask[0]}*" for rule in best})
        raise UsageError(
            f"every image in {places[0]} has several masks in {places[1]}, {', '.join(kinds[:6])}: "
            f"choose one kind by patterns of both, `images` and `masks`, the latter such as '**/{kinds[0]}.png'"
        )
    return best[0]


def _candidates(images: Named, masks: Named) -> Iterator[Rule]:
    """Rules by which one of the first images has the mask whose name is most like its own."""
    tried: set[Rule] = set()
    for name in sorted(images)[:SAMPLES]:
        folder, stem = os.path.split(name)
        for flat in (False, True):
            stems = [other for there, other in map(os.path.split, masks) if flat or there == folder]
            for rule in _rules_of(stem, stems, flat=flat):
                if rule not in tried:
                    tried.add(rule)
                    yield rule


def _rules_of(image: str, masks: Sequence[str], *, flat: bool) -> Iterator[Rule]:
    yield Rule(flat=flat)
    for mask in _most_alike(image, masks):
        shared = _shared(image, mask)
        cuts = [at for at in range(shared, 0, -1) if MARK.fullmatch(image[at:]) and MARK.fullmatch(mask[at:])]
        if cuts:
            yield Rule(("", image[cuts[0] :]), ("", mask[cuts[0] :]), flat=flat)
    for mask in _most_alike(image[::-1], [mask[::-1] for mask in masks]):
        shared = _shared(image[::-1], mask)
        core = image[len(image) - shared :].lstrip(LETTERS)  # `image1` and `stage1` share more than the number
        begins = image[: len(image) - len(core)], mask[::-1][: len(mask) - len(core)]
        if core.strip("_-. ") and all(not begin or begin[0].isalpha() for begin in begins):
            yield Rule((begins[0], ""), (begins[1], ""), flat=flat)


def _shared(one: str, other: str) -> int:
    """How many characters two names begin with together."""
    alike = (here == there for here, there in zip(one, other, strict=False))
    return next((index for index, same in enumerate(alike) if not same), min(len(one), len(other)))


def _most_alike(name: str, others: Sequence[str]) -> list[str]:
    """Those that share the longest beginning with the name, if any do; few, since a folder may hold thousands."""
    shared = [_shared(name, other) for other in others]
    most = max(shared, default=0)
    return [other for other, length in zip(others, shared, strict=True) if length == most > 0][:KINDS_LIMIT]


def _require_partners(rule: Rule, images: Named, masks: Named, places: tuple[str, str]) -> None:
    cores, masks_by_core = rule.images(images), rule.masks(masks)
    have = {file for core, file in cores.items() if core in masks_by_core}
    alone = [images[name] for name in sorted(images) if images[name] not in have]
    if alone:
        more = f" ({len(alone)} of {len(images)} images have none)" if len(alone) > 1 else ""
        raise UsageError(f"{alone[0]} has no partner in {places[1]}{more}: add {alone[0].stem}.png or remove it")
    used = {masks_by_core[core] for core in cores}
    for name in sorted(masks):
        if masks[name] not in used and not _is_another_kind(name, rule, cores):
            raise UsageError(f"{masks[name]} has no partner in {places[0]}: add its image or remove it")


def _is_another_kind(name: str, rule: Rule, cores: Iterable[str]) -> bool:
    """Whether a mask that is not used belongs to an image that has one: `x_color` beside `x_labelIds`."""
    folder, stem = os.path.split(name)
    core_names = set(cores)
    for mark in re.finditer(r"[_\-. ]", stem):
        core = stem[: mark.start()].removeprefix(rule.mask[0])
        if (core if rule.flat else f"{folder}/{core}") in core_names and MARK.fullmatch(stem[mark.start() :]):
            return True
    return False


def _some(named: Named) -> str:
    names = sorted(file.name for file in named.values())
    return ", ".join(names[:2]) + (", ..." if len(names) > 2 else "") if names else "nothing"


def by_name(files: Iterable[Path], below: Path) -> dict[str, Path]:
    """Files by their names below a folder; raises `UsageError` for two that differ by their ending only."""
    named: dict[str, Path] = {}
    for file in files:
        name = file.relative_to(below).with_suffix("").as_posix()
        if name in named:
            raise UsageError(f"{named[name]} and {file} have one name: their masks could not be told apart; rename one")
        named[name] = file
    return named
