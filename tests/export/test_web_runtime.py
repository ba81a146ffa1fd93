"""The runtime of a bundle's page: installed with npm or fetched by it, checked, and copied with its licence."""

import json
import tarfile
from pathlib import Path

import pytest
from bundles import Bundled

from compress.errors import UsageError
from compress.export import web_runtime


def installed(folder: Path, version: str) -> Path:
    """A folder with `node_modules/onnxruntime-web` of empty files."""
    package = folder / "node_modules" / "onnxruntime-web"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"version": version}))
    for name in (web_runtime.CODE, web_runtime.WASM):
        (package / "dist" / name).write_text("")
    return package


def test_an_installed_runtime_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = installed(tmp_path, "1.29.0")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    runtime = web_runtime.web_runtime(fetch=False)
    assert (runtime.folder, runtime.version) == (package, "1.29.0")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no installed runtime, and an empty folder of programs."""
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NODE_PATH", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def npm(folder: Path, script: str) -> None:
    """A program called npm that runs this script."""
    program = folder / "bin" / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_runtime_that_cannot_be_had_is_told_in_a_line(nowhere: Path) -> None:
    with pytest.raises(UsageError, match="onnxruntime-web is not installed: run `npm install onnxruntime-web`"):
        web_runtime.web_runtime(fetch=False)
    with pytest.raises(UsageError, match="neither is npm to fetch it"):
        web_runtime.web_runtime(fetch=True)
    npm(nowhere, "exit 1")
    with pytest.raises(UsageError, match=r"npm cannot fetch onnxruntime-web 1\.30\.0.* where there is a network"):
        web_runtime.web_runtime(fetch=True)


def test_another_package_than_the_registry_states_is_not_used(nowhere: Path) -> None:
    with tarfile.open(nowhere / "other.tgz", "w:gz") as archive:
        archive.add(installed(nowhere / "elsewhere", "1.30.0"), "package")
    npm(nowhere, f'/bin/cp {nowhere}/other.tgz "$4"')
    with pytest.raises(UsageError, match="its SHA-512 differs"):
        web_runtime.web_runtime(fetch=True)
    assert not (nowhere / "cache").exists()


def test_the_licence_comes_along(with_page: Bundled) -> None:
    folder = with_page("maps float decision", page=True)
    assert "MIT License" in (folder / "runtime" / "LICENSE").read_text()
    assert (folder / "runtime" / "ThirdPartyNotices.txt").stat().st_size > 1000
