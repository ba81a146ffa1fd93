"""What `compress COMMAND --help` shows."""

import inspect
import re
from collections.abc import Callable
from importlib import import_module

import pytest

from compress.cli import COMMANDS
from compress.settings import DistillSettings, TeachSettings
from compress.storage.settings_files import load_config

Page = Callable[..., str]


@pytest.fixture
def page(run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Page:
    """The help page of a command with words before `--help`, in lines that are never wrapped."""
    monkeypatch.setenv("COLUMNS", "1000")

    def show(*words: str) -> str:
        assert run(*words, "--help") == 0
        return capsys.readouterr().out

    return show


def function_of(target: str) -> Callable[..., None]:
    module, _, name = target.partition(":")
    return getattr(import_module(f"compress.cli.{module}"), name)


def description_of(target: str) -> tuple[str, str]:
    """The first line of a docstring, and all of its sentences: those of its parameters too, without their names."""
    text = inspect.getdoc(function_of(target)) or ""
    body, _, parameters = text.partition("Parameters\n----------\n")
    return text.partition("\n")[0], body + re.sub(r"^\w+$", "", parameters, flags=re.MULTILINE)


def sentences(text: str) -> list[str]:
    paragraphs = re.split(r"\n\s*\n", text.replace("`", ""))
    return [each for part in paragraphs for each in re.split(r"(?<=[.;:]) ", " ".join(part.split())) if each]


def rounds_of(recipe: str) -> int:
    return load_config(recipe)["distillation"]["rounds"]


def section(page: str, heading: str) -> str:
    return next(part for part in page.split("╭─")[1:] if part.startswith(f" {heading}"))


def default_of(page: str, flag: str) -> str:
    line = next(line for line in page.splitlines() if line.startswith(f"│ {flag} "))
    return line.partition("[default: ")[2].partition("]")[0]


@pytest.mark.parametrize(("words", "target"), [command[:2] for command in COMMANDS], ids=[c[0] for c in COMMANDS])
def test_every_sentence_of_the_docstring_reaches_the_page(words: str, target: str, page: Page) -> None:
    said = sentences(description_of(target)[1])
    text = " ".join(page(*words.split()).split())
    assert said
    assert [each for each in said if each not in text] == []


@pytest.mark.parametrize(("words", "target", "summary"), [c[:3] for c in COMMANDS], ids=[c[0] for c in COMMANDS])
def test_the_page_begins_as_the_list_of_commands_says_and_ends_with_an_example(
    words: str, target: str, summary: str, page: Page
) -> None:
    assert description_of(target)[0] == summary
    assert f"For example: compress {words} " in page(*words.split())


@pytest.mark.parametrize(("command", "model"), [("distill", DistillSettings), ("teach", TeachSettings)])
def test_every_setting_is_a_flag_under_a_heading(command: str, model: type[DistillSettings], page: Page) -> None:
    text = page(command)
    assert "╭─ Parameters" not in text
    for name, field in model.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        for flag in [f"{name}.{key}" for key in inner] if inner else [name]:
            assert f" --{flag.replace('_', '-')} " in text


def test_everyday_flags_come_before_the_sections_of_settings(page: Page) -> None:
    headings = re.findall(r"╭─ (\w+)", page("distill"))
    assert headings[:4] == ["Models", "Data", "Options", "Seed"]
    sections = ["Inversion", "Replay", "Distillation", "GAN"]
    assert [heading for heading in headings[4:] if heading in sections] == sections
    assert "--teacher " in section(page("distill"), "Models")
    assert "--inversion.steps" in section(page("distill"), "Inversion")


@pytest.mark.parametrize(
    ("words", "flag", "default"),
    [
        ((), "--distillation.rounds", rounds_of("digits/fast-dfkd")),
        (
            ("--config", "cifar10/ssd-kd"),
            "--distillation.rounds",
            load_config("cifar10/ssd-kd")["distillation"]["rounds"],
        ),
        (("--method", "dafl", "--config", "cifar10/dafl"), "--distillation.steps", 5),
        (("--task", "segmentation"), "--data", "digit-scenes"),
        (("--task", "segmentation"), "--task", "classification"),
        (("--method", "nothing-of-the-kind"), "--distillation.rounds", "recipe"),
    ],
)
def test_the_defaults_are_those_of_the_recipe_that_would_apply(
    words: tuple[str, ...], flag: str, default: object, page: Page
) -> None:
    assert default_of(page("distill", *words), flag) == str(default)


@pytest.mark.parametrize("words", [("distill", "segmentation"), ("teach", "--out", "teacher", "segmentation")])
def test_settings_are_flags_only(words: tuple[str, ...], run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    assert "'segmentation'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["distill", "teach", "evaluate"])
def test_a_setting_of_several_numbers_has_no_flag_to_empty_it(command: str, page: Page) -> None:
    assert "--mean" in page(command)
    assert "--empty" not in page(command)
