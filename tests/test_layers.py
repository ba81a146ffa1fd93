"""The layers of the design: who may import whom, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRACTS = {"task", "losses", "errors", "files", "outside", "pickles", "checkpoints", "tables"}
LEARNING = {"augment", "compute", "optimizers", "random_state", "schedules"}
ENGINE = {
    "alignment", "balance", "collected", "critic", "distiller", "evaluation", "faults", "features", "gan",
    "gan_inversion", "gan_losses", "generators", "hints", "input_prior", "instances", "inversion", "lessons",
    "objective", "parallel", "pixels", "priors", "replay", "round", "settings", "stopping", "taps", "targets",
}  # fmt: skip


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """Names under `compress.` that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix("compress.") for alias in node.names if alias.name.startswith("compress.")
            )
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "compress":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith("compress."):
            yield str(node.module).removeprefix("compress.")


ENGINE_FILES = [f for f in modules("compress") if "cli" not in f.parts and f.stem not in {"__main__", "api"}]


def heads(file: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(file)} - {"__version__"}


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", modules("tasks"), ids=name)
def test_tasks_know_contracts_and_how_networks_learn_and_nothing_else(file: Path) -> None:
    assert heads(file) <= CONTRACTS | LEARNING


@pytest.mark.parametrize("file", modules("export"), ids=name)
def test_export_knows_contracts_and_nothing_else(file: Path) -> None:
    assert heads(file) <= CONTRACTS


@pytest.mark.parametrize("file", ENGINE_FILES, ids=name)
def test_the_engine_knows_no_task_no_exporter_and_no_command_line(file: Path) -> None:
    assert not heads(file) & {"tasks", "export", "cli"}


@pytest.mark.parametrize("file", [f for f in modules("compress") if f.stem in CONTRACTS | LEARNING], ids=name)
def test_contracts_rest_on_contracts_only(file: Path) -> None:
    assert heads(file) <= CONTRACTS


@pytest.mark.parametrize("file", [f for f in modules("compress") if f.stem in ENGINE], ids=name)
def test_the_engine_knows_neither_its_recipes_nor_its_report(file: Path) -> None:
    assert not heads(file) & {"methods", "report"}


@pytest.mark.parametrize("file", modules("compress/report"), ids=name)
def test_the_report_knows_the_files_of_a_run_and_nothing_else(file: Path) -> None:
    assert heads(file) <= CONTRACTS | {"configuration", "run_directory"}


@pytest.mark.parametrize("file", modules("compress/methods"), ids=name)
def test_recipes_never_import_each_other(file: Path) -> None:
    recipes = {f.stem for f in modules("compress/methods")} - {"__init__", "method", "recipe"}
    names = {entry.removeprefix("methods.") for entry in imported(file) if entry.startswith("methods.")}
    assert not names & recipes


@pytest.mark.parametrize("file", [*modules("tasks"), *modules("export")], ids=name)
def test_siblings_are_imported_relatively(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert (node.module or "").split(".")[0] not in {"tasks", "export"}


def test_files_stay_short() -> None:
    long = {
        name(f): lines
        for folder in ("compress", "tasks", "export")
        for f in modules(folder)
        if (lines := len(f.read_text().splitlines())) > 250
    }
    assert not long
