"""Which class is which: orders of class folders, ImageNet's names, and data of fewer classes than a network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from compress.errors import UsageError, first_line, unknown_name
from compress.storage.untrusted import plain_json, read_bytes, require_name

from .class_list import NAME_KEYS
from .source import ClassOrder, DataSource, LabelledImages

TEXT_LIMIT = 5_000_000
WORDNET_ID = re.compile(r"n\d{8}")


def natural(name: str) -> list[tuple[int, str]]:
    """timm's sort key of class folders: numbers by their value, letters without case."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name.lower())]


def in_order(names: Sequence[str], order: ClassOrder | None) -> tuple[str, ...]:
    """The names of class folders, sorted by class index."""
    return tuple(sorted(names, key=natural) if order == "natural" else sorted(names))


def order_note(names: Sequence[str], order: ClassOrder | None) -> tuple[str, ...]:
    """A note if no order was chosen and timm and torchvision would number these folders differently."""
    text, other = in_order(names, "text"), in_order(names, "natural")
    if order is not None or text == other:
        return ()
    place = next(index for index, name in enumerate(text) if name != other[index])
    return (
        f"class folders are numbered as text, as torchvision does: class {place} is {text[place]!r}, with timm it is "
        f"{other[place]!r}; pass `class_order` natural for a teacher trained by timm's scripts, or `class_names`",
    )


def read_class_names(file: Path) -> tuple[str, ...]:
    """Class names in the order of their indices: a name a line, or JSON (a list, index to name, or name to index).

    Raises `UsageError` that names the file if it says anything else, or a name twice.
    """
    try:
        text = read_bytes(file, TEXT_LIMIT).decode("utf-8-sig")
        listed = plain_json(text) if file.suffix.lower() == ".json" else [line.strip() for line in text.splitlines()]
        names = tuple(require_name(str(name)) for name in _listed(listed) if str(name))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read class names from {file}: {first_line(error)}; give a name a line, in the network's order"
        ) from error
    name, count = Counter(names).most_common(1)[0] if names else ("", 0)
    if count > 1 or len(names) < 2:
        raise UsageError(f"{file} {f'names {name!r} twice' if count > 1 else 'holds fewer than two names'}: mend it")
    return names


def _listed(content: object) -> list[object]:
    """Names in order, out of a list, `{"0": "cat"}`, ImageNet's `{"0": ["n01440764", "tench"]}` or `{"cat": 0}`.

    These may be the one value of a table, `{"names": [...]}`, and an entry may be an object with a name of its own.
    """
    if isinstance(content, Mapping) and len(content) == 1:
        (inner,) = content.values()
        content = inner if isinstance(inner, (list, Mapping)) else content
    if isinstance(content, Mapping):
        if all(isinstance(index, int) for index in content.values()):  # class_to_idx
            content = {str(index): name for name, index in content.items()}
        try:
            content = [content[str(index)] for index in range(len(content))]
        except KeyError as error:
            raise ValueError(f"it has {len(content)} classes and none of index {error}") from error
    if not isinstance(content, list):
        raise ValueError("it is no list of names")
    return [_name(entry) for entry in content]


def _name(entry: object) -> object:
    if isinstance(entry, list) and entry:
        entry = entry[0]
    if isinstance(entry, Mapping):
        entry = next((entry[key] for key in NAME_KEYS if isinstance(entry.get(key), str)), entry)
    if isinstance(entry, (Mapping, list)):
        raise ValueError(f"{str(entry)[:40]!r} is no name")
    return entry


@cache
def imagenet_names(count: int) -> tuple[str, ...]:
    """The WordNet ids of ImageNet's 1,000 classes, or of the other sets of that many classes; none for other counts."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": count})
    return tuple(ImageNetInfo(subset).label_names()) if subset else ()


@cache
def imagenet_words(count: int) -> Mapping[str, str]:
    """WordNet ids by the words for them, `tench` and `Tinca tinca`, without words that stand for two."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": count})
    words: dict[str, str] = {}
    for name, text in ImageNetInfo(subset).label_descriptions(as_dict=True).items() if subset else ():
        for word in text.split(", "):
            words[folded(word)] = "" if folded(word) in words else name
    return {word: name for word, name in words.items() if name}


def folded(name: str) -> str:
    """A name without case, and with spaces for hyphens and underscores."""
    return re.sub(r"[\s_-]+", " ", name.strip().casefold())


def require_fitting(source: DataSource, names: Sequence[str], origin: str) -> DataSource:
    """The data with the classes of a network, numbered as the network numbers them.

    Data may have fewer classes than the network: it is scored over those. Names are compared as they are, else without
    case and hyphens; ImageNet's classes also by their words. Raises `UsageError` with the nearest name for a class of
    the data that the network does not have.
    """
    if tuple(names) == source.class_names:
        return source
    number = {name: index for index, name in enumerate(names)}
    loose = {folded(name): index for name, index in number.items()}
    words = imagenet_words(len(names)) if WORDNET_ID.fullmatch(names[0]) else {}
    places = []
    for name in source.class_names:
        place = number.get(name, loose.get(folded(name), number.get(words.get(folded(name), ""))))
        if place is None:
            raise unknown_name(f"class of {source.name}, which {origin} does not have:", name, list(names))
        places.append(place)
    if len(set(places)) < len(places):
        place = Counter(places).most_common(1)[0][0]
        raise UsageError(f"two classes of {source.name} are {names[place]!r} of {origin}: rename one")
    return _numbered(source, tuple(names), places)


def _numbered(source: DataSource, names: tuple[str, ...], places: list[int]) -> DataSource:
    """The source whose class i is class `places[i]` of `names`."""
    table = torch.tensor(places)

    def numbered(split: LabelledImages) -> LabelledImages:
        return replace(split, targets=table[split.targets.long()])

    held_out = cache(lambda: numbered(source.held_out()))
    fewer = len(places) < len(names)
    note = f"scored over the {len(places)} of {len(names)} classes that {source.name} has" if fewer else ""
    return replace(
        source,
        class_names=names,
        training=lambda: numbered(source.training()),
        held_out=held_out,
        present=tuple(sorted(places)) if fewer else None,
        notes=tuple(text for text in (note,) if text),
    )
