"""`compress config`: show, check and describe settings."""

from __future__ import annotations

import json

import yaml

from compress.errors import UsageError
from compress.runs.resolution import resolve, resolved
from compress.runs.schema import with_own_sections
from compress.settings import DistillSettings
from compress.storage.settings_files import load_config, recipe_names
from compress.tasks.data import SOURCES


def show(config: str, /) -> None:
    """Print all settings of a recipe or a settings file.

    Settings that it leaves out are filled in from the schema, the method and the data. The output is a settings file.

    Parameters
    ----------
    config
        Name of a packaged recipe (`compress list configs`), or a YAML file.
    """
    print(yaml.safe_dump(resolved(_settings(config)), sort_keys=False), end="")


def validate(*configs: str) -> None:
    """Check settings files.

    It prints for each file whether `compress distill --config` accepts it. The exit code is 2 if any is refused.

    Parameters
    ----------
    configs
        YAML files, or names of packaged recipes.
    """
    if not configs:
        raise UsageError("no files to check: `compress config validate FILE...`")
    bad = 0
    for config in configs:
        try:
            _settings(config)
            print(f"{config!r}: ok")
        except UsageError as error:
            bad += 1
            print(f"{config!r}: {error}")
    if bad:
        raise UsageError(f"{bad} of {len(configs)} cannot be used: correct the errors printed above")


def schema() -> None:
    """Print the JSON schema of the settings, for editors."""
    print(json.dumps(with_own_sections(DistillSettings).model_json_schema(), indent=1, ensure_ascii=False))


def _settings(config: str) -> DistillSettings:
    """As `compress distill --config` would run; a recipe for the data and the method that its name says."""
    if config not in recipe_names():
        return resolve({}, config)
    data, _, method = config.partition("/")
    return resolve(
        {"task": SOURCES[data].task, "data": data, "method": load_config(config).get("method", method)}, config
    )
