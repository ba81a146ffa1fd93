"""Methods and data sets that installed packages add, and what is said of packages that are broken."""

import sys
from collections.abc import Callable

import pytest

from compress.errors import UsageError
from compress.methods import METHODS, Method, find_method
from compress.tasks.data import SOURCES, open_data

Run = Callable[..., int]
GROUP = "compress.methods"
GOOD = """
from compress.methods import METHODS, Method
def recipe(given):
    \"\"\"FastDFKD by another name.\"\"\"
    return METHODS["fast-dfkd"].build(given)
METHOD = Method(recipe, unused=METHODS["fast-dfkd"].unused)
"""
BROKEN = {
    "a library that is not there": ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
    "a misspelt attribute": ("METHODS = 1", "AttributeError"),
    "code that fails": ("raise ValueError('two\\nlines')", "ValueError: two"),
    "a bare recipe": ("def METHOD(given): ...", "where it has the type function, not Method"),
}


def test_a_package_adds_a_method_that_is_imported_when_it_is_asked_for(install) -> None:
    install("fine", {GROUP: {"mine": "fine_module:METHOD"}}, fine_module=GOOD)
    assert METHODS.names()[-1] == "mine"
    assert find_method("ssd-kd") is METHODS["ssd-kd"]
    assert "fine_module" not in sys.modules
    assert isinstance(find_method("mine"), Method)
    assert find_method("mine").summary == "FastDFKD by another name."
    with pytest.raises(UsageError, match="did you mean 'mine'"):
        find_method("mines")


def test_a_name_of_ours_cannot_be_taken(install) -> None:
    install("rude", {GROUP: {"ssd-kd": "rude_module:METHOD"}}, rude_module="raise SystemError")
    assert METHODS.find("ssd-kd") is METHODS["ssd-kd"]
    assert METHODS.names() == list(METHODS)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_package_is_named_in_one_line_and_disturbs_nobody_who_does_not_ask_for_it(
    kind: str, install, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    code, reason = BROKEN[kind]
    install("some-package", {GROUP: {"mine": "some_module:METHOD"}}, some_module=code)
    assert run("distill", "--method", "mine", "--dry-run") == 2
    line = capsys.readouterr().err
    assert "'mine' is in package 'some-package'" in line
    assert reason in line
    assert len(line.splitlines()) == 1
    assert run("list", "methods") == 0
    *ours, added = capsys.readouterr().out.splitlines()
    assert len(ours) == len(METHODS)
    assert added.startswith("mine           cannot be used: ")
    assert run("distill", "--dry-run") == 0


def test_a_data_set_has_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "mine", SOURCES["digits"])
    with pytest.raises(UsageError, match="'mine' calls itself 'digits'"):
        open_data("mine", "classification")
