"""Settings: defaults < recipe < file < flags, and one clear line for everything that is wrong."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from compress.errors import UsageError
from compress.settings import DistillSettings
from compress.storage.settings_files import (
    load_config,
    merged,
    names_setting,
    parse_yaml,
    recipe_names,
    validated,
    without,
)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("seed: 1\nseed: 2", "line 2: duplicate key 'seed'"),
        ("replay:\n  capacity: 1\n  capacity: 2", "duplicate key 'capacity'"),
        ("a: &x 1\nb: *x", "aliases are not allowed"),
        ("a: !!python/object/apply:os.system [ls]", "tags are not allowed"),
        ("- 1\n- 2", "must hold `key: value` lines"),
        ("a: [1", "expected"),
        ("\x00", "is not YAML"),
    ],
)
def test_bad_yaml_is_one_line_that_says_why(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint.replace("[", r"\[")) as caught:
        parse_yaml(text, "file.yaml")
    assert "\n" not in str(caught.value)
    assert "file.yaml" in str(caught.value)


def test_scientific_notation_is_a_number() -> None:
    assert parse_yaml("a: 1e-3\nb: 2E5\nc: -1e3\nd: 1e3x", "x") == {"a": 1e-3, "b": 2e5, "c": -1e3, "d": "1e3x"}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"replay": {"capcity": 5}}, "unknown setting 'replay.capcity': did you mean 'replay.capacity'"),
        ({"sed": 1}, "did you mean 'seed'"),
        ({"distillation": {"steps": -1}}, "distillation.steps: input should be greater than or equal to 1"),
        ({"distillation": {"lr": "fast"}}, "distillation.lr: input should be a valid number"),
        ({"replay": 3}, "replay: "),
        ({"precision": "fp64"}, "precision: "),
    ],
)
def test_a_bad_setting_is_named_with_its_path(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint.replace("(", r"\(")) as caught:
        validated(DistillSettings, values)
    assert "\n" not in str(caught.value)


def test_later_layers_win_key_by_key() -> None:
    assert merged({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}}, {"b": 4}) == {"a": {"x": 1, "y": 3}, "b": 4}


@pytest.mark.parametrize(("path", "named"), [("a", True), ("a.x", True), ("a.z", False), ("b.x", False), ("c", False)])
def test_a_setting_is_found_by_its_path_and_taken_out(path: str, named: bool) -> None:
    values = {"a": {"x": 1, "y": 2}, "b": 3}
    assert names_setting(values, path) is named
    left = without(values, path)
    assert not names_setting(left, path)
    assert (left == values) is not named
    assert values == {"a": {"x": 1, "y": 2}, "b": 3}


def test_settings_survive_a_round_trip_through_yaml(tmp_path: Path) -> None:
    import yaml

    expected = validated(DistillSettings, {"teacher_weights": "x.pt", "distillation": {"lr": 3e-3}})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(expected.model_dump(mode="json")))
    assert validated(DistillSettings, load_config(str(tmp_path / "config.yaml"))) == expected


def test_a_missing_config_names_the_nearest_recipe() -> None:
    with pytest.raises(UsageError, match="did you mean 'digits/ssd-kd'"):
        load_config("digit/ssd-kd")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        DistillSettings().seed = 3


@pytest.mark.parametrize("name", recipe_names())
def test_every_packaged_recipe_is_valid(name: str) -> None:
    validated(DistillSettings, load_config(name))


def test_a_file_extends_a_packaged_recipe_and_says_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: cifar10/ssd-kd\nreplay:\n  capacity: 7\n")
    assert load_config(str(file)) == merged(load_config("cifar10/ssd-kd"), {"replay": {"capacity": 7}})
    file.write_text("extends: cifar10/ssd-dk\n")
    with pytest.raises(UsageError, match="did you mean 'cifar10/ssd-kd'"):
        load_config(str(file))
    file.write_text("extends: /etc/passwd\n")
    with pytest.raises(UsageError, match="unknown recipe"):
        load_config(str(file))


def test_the_settings_of_an_older_run_are_read_without_what_is_no_setting_any_more(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("inversion:\n  meta: sum\n  steps: 3\n")
    assert load_config(str(file)) == {"inversion": {"steps": 3}}
    file.write_text("format: 1\ninversion:\n  meta: sum\n")
    with pytest.raises(UsageError, match=r"unknown setting 'inversion.meta'"):
        validated(DistillSettings, load_config(str(file)))
