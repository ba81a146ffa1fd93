"""`compress config`, `compress completion`, the examples of the help, and what names from outside do to a terminal."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rich.table import Table
from rich.text import Text

from compress.cli import app
from compress.runs.charts import class_bars
from compress.settings import DistillSettings
from compress.storage.run_directory import RunDirectory
from compress.storage.settings_files import recipe_names
from compress.training.progress import PlainConsole

Run = Callable[..., int]
WORDS = [(name,) for name in app if not name.startswith("-") and name != "config"]
WORDS += [("config", name) for name in app["config"] if not name.startswith("-")]


def test_show_prints_what_a_recipe_comes_to_and_its_output_is_a_config(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("config", "show", "cifar10/ssd-kd-cpu") == 0
    shown = capsys.readouterr().out
    settings = yaml.safe_load(shown)
    assert (settings["data"], settings["method"], settings["replay"]["capacity"]) == ("cifar10", "ssd-kd", 5000)
    (tmp_path / "mine.yaml").write_text(shown)
    assert run("config", "show", tmp_path / "mine.yaml") == 0
    assert capsys.readouterr().out == shown


def test_validate_says_a_line_of_each_and_exits_with_2_if_one_is_bad(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, text in (("good.yaml", "seed: 1\n"), ("bad.yaml", "seed: 1\nseed: 2\n"), ("\x1b[2J.yaml", "sed: 1\n")):
        (tmp_path / name).write_text(text)
    assert run("config", "validate", tmp_path / "good.yaml", "digits/ssd-kd") == 0
    assert [line.endswith(": ok") for line in capsys.readouterr().out.splitlines()] == [True, True]
    assert run("config", "validate", *sorted(tmp_path.iterdir())) == 2
    said = capsys.readouterr()
    assert said.out.replace("\n", "").isprintable()
    assert [line.endswith(": ok") for line in said.out.splitlines()] == [False, False, True]
    assert "2 of 3 cannot be used" in said.err
    assert run("config", "validate") == 2


def test_every_packaged_recipe_is_valid(run: Run) -> None:
    assert run("config", "validate", *recipe_names()) == 0


def test_the_schema_is_that_of_the_settings(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "schema") == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["properties"].keys() == DistillSettings.model_fields.keys()
    assert schema["$defs"]["ReplaySettings"]["properties"]["capacity"]["description"]


def test_completion_knows_commands_and_settings(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("completion", "bash") == 0
    script = capsys.readouterr().out
    for word in ("distill", "replay.capacity", "segmentation"):
        assert word in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("command", WORDS, ids=" ".join)
def test_every_command_shows_an_example(command: tuple[str, ...], run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*command, "--help") == 0
    example = " ".join(capsys.readouterr().out.split()).partition("For example: ")[2]
    assert example.startswith(f"compress {' '.join(command)} ")
    assert example != f"compress {' '.join(command)} "


def test_recipes_are_listed_with_what_they_are_for(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "configs") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["list", "method"], "methods"),
        (["config", "shw"], "show"),
        (["config", "show", "digits/ssdkd"], "digits/ssd-kd"),
        (["completion", "bsh"], "bash"),
        (["distill", "--methd", "kd"], "--method"),
        (["distill", "--data", "digit"], "digits"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(
    words: list[str], nearest: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    assert nearest in capsys.readouterr().err


def test_names_from_outside_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = "\x1b[2J\x07[red]cat[/] [/nothing] :smile:"
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    console = PlainConsole(stderr=False)
    console.print(name)
    console.print(table)
    shown = capsys.readouterr().out
    assert shown.replace("\n", "").isprintable()
    assert shown.count("\\x1b[2J\\x07[red]cat[/] [/nothing] :smile:") == 4
    RunDirectory(tmp_path).log(f"{name}\nround 9")
    assert (tmp_path / "train.log").read_text() == "\\x1b[2J\\x07[red]cat[/] [/nothing] :smile: round 9\n"


def test_a_class_may_be_called_like_a_broken_formula(tmp_path: Path) -> None:
    class_bars(tmp_path / "bars.png", "$\\frac{$", {"$\\x$": {"$\\frac{$": 0.5, "_": 0.1}})
    assert (tmp_path / "bars.png").is_file()


@pytest.mark.parametrize("wanted", [True, False])
def test_no_color_is_honoured(
    wanted: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "NO_COLOR": "" if wanted else "1"}.items():
        monkeypatch.setenv(name, value)
    PlainConsole(stderr=False).print(Text("red", style="red"))
    assert ("\x1b[31m" in capsys.readouterr().out) is wanted
