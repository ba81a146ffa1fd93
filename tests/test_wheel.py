"""The wheel puts exactly one name into site-packages, with everything in it."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def mapping() -> dict[str, str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = settings["package-dir"]
    return {package: str(_folder(package, folders)) for package in settings["packages"]}


def _folder(package: str, folders: dict[str, str]) -> Path:
    head = max((name for name in folders if package == name or package.startswith(name + ".")), key=len)
    return Path(folders[head], *package.removeprefix(head).strip(".").split("."))


def test_the_list_of_packages_is_complete() -> None:
    on_disk = {
        str(file.parent.relative_to(ROOT))
        for top in ("compress", "tasks", "export", "configs")
        for file in (ROOT / top).rglob("__init__.py")
    }
    assert set(mapping().values()) == on_disk


@pytest.fixture(scope="session")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Files in a wheel that is built from a copy of the tracked tree, offline."""
    import shutil

    copy = tmp_path_factory.mktemp("tree") / "project"
    everywhere = shutil.ignore_patterns("*.egg-info", "__pycache__", ".*_cache", ".hypothesis")

    def left_out(folder: str, names: list[str]) -> set[str]:
        at_the_top = {".git", ".venv", "runs", "build"} if Path(folder) == ROOT else set()
        return at_the_top | set(everywhere(folder, names))

    shutil.copytree(ROOT, copy, ignore=left_out)
    target = tmp_path_factory.mktemp("wheel")
    code = f"from setuptools.build_meta import build_wheel; build_wheel({str(target)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=copy, check=True, capture_output=True)
    with zipfile.ZipFile(next(target.glob("*.whl"))) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_one_top_level_name(wheel_names: set[str]) -> None:
    tops = {entry.split("/")[0] for entry in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"compress"}


def test_the_wheel_holds_every_module_recipe_teacher_and_the_type_marker(wheel_names: set[str]) -> None:
    expected = {"compress/py.typed", "compress/report/page.html", "compress/report/page.css"}
    for package, folder in mapping().items():
        inside = package.replace(".", "/")
        expected |= {f"{inside}/{file.name}" for file in (ROOT / folder).glob("*.py")}
    expected |= {f"compress/{file.relative_to(ROOT)}" for file in (ROOT / "configs").rglob("*.yaml")}
    expected |= {f"compress/{file.relative_to(ROOT)}" for file in (ROOT / "tasks" / "teachers").rglob("*.*")}
    clients = ROOT / "export" / "clients"
    expected |= {f"compress/export/clients/{file.name}" for file in clients.iterdir() if file.is_file()}
    assert expected <= wheel_names
    assert not [entry for entry in wheel_names if "tests" in entry.split("/")]
