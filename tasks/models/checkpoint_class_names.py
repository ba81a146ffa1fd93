"""Class names that are stored beside the weights, in a checkpoint or in a model's folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from compress.storage.untrusted import plain_json, read_bytes, require_name
from compress.storage.untrusted_checkpoints import read_untrusted_checkpoint

from .timm_hub import CONFIG_LIMIT

IN_ORDER = ("class_names", "label_names", "classes", "CLASSES", "names", "labels")
"""Keys, written by training scripts, whose value is a list of names or a table from index to name."""
BY_INDEX = ("idx_to_class", "id2label", "idx2label", "index_to_class")
BY_NAME = ("class_to_idx", "label2id", "name_to_idx")
DEPTH = 3
"""How many levels of nested tables are searched: mmengine keeps names under `meta`, `dataset_meta`."""


def class_names_beside(weights: Path, classes: int) -> tuple[str, ...] | None:
    """The names of `classes` classes in a torch checkpoint or a folder's `config.json`; None if there are none."""
    try:
        content = _content(weights)
    except Exception:  # the code that loads the weights reports files that cannot be read
        return None
    return next((names for names in _candidates(content, DEPTH) if len(names) == classes), None)


def _content(weights: Path) -> object:
    if weights.is_dir():
        return plain_json(read_bytes(weights / "config.json", CONFIG_LIMIT))
    return None if weights.suffix == ".safetensors" else read_untrusted_checkpoint(weights)


def _candidates(content: object, depth: int) -> Iterator[tuple[str, ...]]:
    """All valid lists of names in nested tables, the outermost first."""
    if not isinstance(content, Mapping) or depth == 0:
        return
    for key in (*IN_ORDER, *BY_INDEX, *BY_NAME):
        names = names_in_order(content.get(key))
        if names is not None:
            yield names
    for inner in content.values():
        yield from _candidates(inner, depth - 1)


def names_in_order(value: object) -> tuple[str, ...] | None:
    """Names in order of index, from a list, a table by index or a table by name.

    None for any other value, and for a name twice: it would not tell two classes apart.
    """
    if isinstance(value, Mapping):
        if value and all(isinstance(index, int) for index in value.values()):
            value = {index: name for name, index in value.items()}
        numbered = {str(index): name for index, name in value.items()}
        value = [numbered.get(str(index)) for index in range(len(numbered))]
    if not isinstance(value, (list, tuple)) or len(value) < 2 or not all(isinstance(name, str) for name in value):
        return None
    if len(set(value)) < len(value):
        return None
    try:
        return tuple(require_name(name) for name in value)
    except ValueError:
        return None
