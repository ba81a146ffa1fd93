"""From YAML files and flags to settings: defaults < recipe < file < flags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from compress.errors import UsageError, first_complaint, unknown_name
from compress.storage.marker import FORMAT, require_format
from compress.storage.untrusted import read_bytes

SIZE_LIMIT = 50_000  # bytes; a settings file has a few hundred

Settings = TypeVar("Settings", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """A YAML loader without tags, duplicate keys and aliases, for which `1e-3` is a number."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases, which can expand a short file without bound, and tags, which select constructors."""
        aliased = self.check_event(yaml.AliasEvent)
        event = self.current_event  # the one that was just looked at
        for kind, present in (("aliases", aliased), ("tags", getattr(event, "tag", None))):
            if present:
                raise yaml.MarkedYAMLError(problem=f"{kind} are not allowed", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse duplicate keys and keys that are not text."""
        keys: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.MarkedYAMLError(problem="a key is no plain text", problem_mark=key.start_mark)
            if key.value in keys:
                raise yaml.MarkedYAMLError(problem=f"duplicate key {key.value!r}", problem_mark=key.start_mark)
            keys.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def recipe_names() -> list[str]:
    """The packaged recipes, `<data>/<method>`."""
    root = files("compress.configs")
    folders = [entry for entry in root.iterdir() if entry.is_dir()]
    return sorted(
        f"{folder.name}/{entry.name.removesuffix('.yaml')}"
        for folder in folders
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    )


def recipe_text(name: str) -> str:
    """The text of a packaged recipe; its first line describes it."""
    return (files("compress.configs") / f"{name}.yaml").read_text(encoding="utf-8")


def load_config(name: str) -> dict[str, Any]:
    """A settings file by path, or a packaged recipe by name, on top of the packaged recipe that it `extends`, if any.

    Raises `UsageError` if it is in neither place, is not YAML, has a duplicate key, is not a mapping, or says a
    `format` that a later version writes.
    """
    if name in recipe_names():
        return _extended(parse_yaml(recipe_text(name), name), name)
    path = Path(name)
    if not path.is_file():
        raise unknown_name("config", name, recipe_names(), "(give a file or a packaged recipe)")
    try:
        content = parse_yaml(read_bytes(path, SIZE_LIMIT).decode("utf-8"), name)
        if "format" not in content:
            content = _without_what_is_gone(content)
        require_format(content.pop("format", FORMAT), name)
        return _extended(content, name)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8: give a YAML file") from error
    except ValueError as error:
        raise UsageError(f"{path} is not a settings file: {error}; give a YAML file") from error


def _without_what_is_gone(content: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run from before formats had numbers, but for what had one value and is no setting any more."""
    inversion = content.get("inversion")
    is_old = isinstance(inversion, dict) and inversion.get("meta") == "sum"
    return without(content, "inversion.meta") if is_old else content


def _extended(values: dict[str, Any], origin: str) -> dict[str, Any]:
    base = values.pop("extends", None)
    if base is None:
        return values
    if base not in recipe_names() or base == origin:
        raise unknown_name("recipe", str(base), recipe_names(), f"({origin} extends it)")
    return merged(load_config(base), values)


def parse_yaml(text: str, origin: str) -> dict[str, Any]:
    """A YAML mapping as plain data; raises `UsageError` with the line of the error."""
    try:
        content = _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{origin}{line}: {error.problem}; mend the file") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{origin} is not YAML: {str(error).splitlines()[0]}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{origin} must hold `key: value` lines, not a {type(content).__name__}")
    return content


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings merged section by section; later layers override earlier ones."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = result.get(key)
            result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def names_setting(values: Mapping[str, Any], path: str) -> bool:
    """Whether nested `values` contain the section or setting at `path`, such as `inversion.bn`."""
    section, _, rest = path.partition(".")
    below = values.get(section)
    return section in values and (not rest or (isinstance(below, Mapping) and names_setting(below, rest)))


def without(values: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Nested `values` without the section or setting at `path`."""
    section, _, rest = path.partition(".")
    if not names_setting(values, path):
        return dict(values)
    if rest:
        return {**values, section: without(values[section], rest)}
    return {key: value for key, value in values.items() if key != section}


def validated(schema: type[Settings], values: Mapping[str, Any]) -> Settings:
    """The settings; raises `UsageError` with the first wrong key, the reason, and the nearest valid key."""
    try:
        return schema.model_validate(_with_paths(schema, values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            name, valid = ".".join(map(str, first["loc"])), _setting_names(schema)
            raise unknown_name("setting", name, valid, listed="compress config schema") from error
        raise UsageError(first_complaint(error)) from error


def _with_paths(schema: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert text to paths and whole numbers to floats where the schema has these types, which YAML lacks."""
    path_fields = {
        key for key, field in schema.model_fields.items() if Path in getattr(field.annotation, "__args__", ())
    }
    return {
        key: Path(value) if key in path_fields and isinstance(value, str) else value for key, value in values.items()
    }


def _setting_names(schema: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for key, field in schema.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _setting_names(field.annotation, f"{prefix}{key}.")
        else:
            yield prefix + key
