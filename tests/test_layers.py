"""The rooms of the design: an import goes down the list only, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from compress.methods import METHODS

ROOT = Path(__file__).parent.parent
ROOMS = (
    "cli", "api", "runs", "report", "methods", "distillation",
    "gan", "synthesis", "replay", "training", "storage", "contract",
)  # fmt: skip
"""From top to bottom. A file outside all folders is the contract; the package itself belongs to `api`."""
OUTSIDE = ("tasks", "export")
"""They see the contract, `training` and `storage`; only `cli`, `api` and `runs` see them."""


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """Names under `compress.` that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (a.name.removeprefix("compress.") for a in node.names if a.name.startswith("compress."))
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "compress":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith("compress."):
            yield str(node.module).removeprefix("compress.")


def room(dotted: str) -> str:
    """The room of a module, `a.b` under `compress`."""
    head = dotted.split(".", maxsplit=1)[0]
    if head in ROOMS or head in OUTSIDE:
        return head
    return "contract" if (ROOT / "compress" / f"{head}.py").is_file() and not head.startswith("__") else "api"


def own_room(file: Path) -> str:
    relative = file.relative_to(ROOT / "compress")
    return room(".".join(relative.with_suffix("").parts))


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", modules("compress"), ids=name)
def test_an_import_goes_down_the_rooms_only(file: Path) -> None:
    below = ROOMS[ROOMS.index(own_room(file)) :]
    if file.stem == "__main__":
        below = ROOMS  # the command line as a process: it is how `cli` is started, not something that rests on it
    names = set(imported(file)) - {"__version__"}
    assert {room(entry) for entry in names} - set(OUTSIDE) <= set(below)


@pytest.mark.parametrize("file", modules("compress"), ids=name)
def test_only_the_upper_rooms_know_tasks_and_exporters(file: Path) -> None:
    assert own_room(file) in {"cli", "api", "runs"} or not {room(entry) for entry in imported(file)} & set(OUTSIDE)


@pytest.mark.parametrize("file", [*modules("tasks"), *modules("export")], ids=name)
def test_tasks_and_exporters_know_the_contract_training_and_storage(file: Path) -> None:
    assert {room(entry) for entry in imported(file)} <= {"contract", "training", "storage"}


@pytest.mark.parametrize("file", modules("compress/methods"), ids=name)
def test_methods_never_import_each_other(file: Path) -> None:
    methods = {method.replace("-", "_") for method in METHODS}
    names = {entry.removeprefix("methods.") for entry in imported(file) if entry.startswith("methods.")}
    assert not names & methods


@pytest.mark.parametrize("file", [*modules("tasks"), *modules("export")], ids=name)
def test_siblings_are_imported_relatively(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert (node.module or "").split(".")[0] not in {"tasks", "export"}


def test_files_stay_short() -> None:
    long = {
        name(f): lines
        for folder in ("compress", "tasks", "export", "tests")
        for f in modules(folder)
        if (lines := len(f.read_text().splitlines())) > 250
    }
    assert not long
