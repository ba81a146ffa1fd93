"""What all tests share: one thread, a private cache, and a small teacher that is taught once a session."""

from __future__ import annotations

import importlib
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import run_compress
from filelock import FileLock
from reduced_export import TRACES, trace_once

from compress.training.random_numbers import RandomNumbers

torch.set_num_threads(1)  # on two cores a second thread a process makes everything slower, not faster

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has background jobs ignore it; some tests send it


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of this session that all of pytest's workers have."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, shared_folder: Path) -> Iterator[None]:
    """No test reads or writes the user's cache, and what one test has traced none traces again."""
    traces = shared_folder / "traces"
    traces.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv(TRACES, str(traces))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("COLUMNS", "160")
        patch.setenv("npm_config_offline", "true")  # what npm has downloaded before it may use
        trace_once(patch)
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium that logs what it asks for and what it complains of.

    Debian calls it and its driver chromium and chromium-driver; the project installs neither.
    """
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install '.[test]'")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("there is no chromium with its chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture
def randomness() -> torch.Generator:
    """A seeded generator."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def numbers() -> RandomNumbers:
    """The same random numbers every time."""
    return RandomNumbers(0, torch.device("cpu"))


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def compress(tmp_path: Path) -> Command:
    """Runs `compress ARGUMENTS...` as a user would, in an empty directory."""

    def run(
        *arguments: object, timeout: float = 400, meanwhile: Callable[[int], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return run_compress([*map(str, arguments)], tmp_path, timeout, meanwhile)

    return run


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(shared_folder: Path) -> Once:
    """`once("name", fill)`: a folder that is filled by whichever of pytest's workers asks first; nobody changes it."""

    def folder(name: str, fill: Callable[[Path], object]) -> Path:
        place, filled = shared_folder / f"once-{name}", shared_folder / f"once-{name}.filled"
        with FileLock(shared_folder / f"once-{name}.lock"):
            if not filled.exists():
                shutil.rmtree(place, ignore_errors=True)  # what a failed attempt left
                place.mkdir()
                fill(place)
                filled.touch()
        return place

    return folder


@pytest.fixture(scope="session")
def classifier_weights(private_cache: None, once: Once) -> Path:
    """Weights of a `cifar_resnet20` that tells digits apart better than chance."""
    words = ["teach", "--task", "classification", "--teacher", "cifar_resnet20"]
    words += ["--steps", "30", "--batch", "16", "--lr", "3e-3", "--out", "."]
    folder = once("classifier", lambda place: run_compress(words, place, timeout=400).check_returncode())
    return folder / "model.safetensors"


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    """A folder in CIFAR-10's form: six batches of 20 images of noise."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    noise = np.random.default_rng(0)
    for name in ("test_batch", *(f"data_batch_{number}" for number in range(1, 6))):
        pixels = noise.integers(0, 256, (20, 3072), dtype=np.uint8)
        table = {"batch_label": name, "labels": [i % 10 for i in range(20)], "data": pixels}
        (folder / name).write_bytes(pickle.dumps(table, protocol=2))
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}, protocol=2))
    return folder


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """`install("package", {group: {name: "module:attribute"}}, module="code")`: as pip would, until the test ends."""
    site, installed = tmp_path / "site-packages", []
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def add(package: str, entry_points: Mapping[str, Mapping[str, str]], **modules: str) -> None:
        facts = site / f"{package.replace('-', '_')}-0.1.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Name: {package}\nVersion: 0.1\n")
        table = ConfigParser()
        table.read_dict(entry_points)
        with (facts / "entry_points.txt").open("w") as file:
            table.write(file)
        for module, code in modules.items():
            (site / f"{module}.py").write_text(code)
        installed.extend(modules)
        importlib.invalidate_caches()

    yield add
    for module in installed:
        sys.modules.pop(module, None)


Complaint = Callable[[Callable[[], object]], str]


@pytest.fixture(scope="session")
def complaint() -> Complaint:
    """`complaint(load)`: the line of the `UsageError` that a load ends in, or nothing if it ends well."""
    from compress.errors import UsageError

    def of(load: Callable[[], object]) -> str:
        try:
            load()
        except UsageError as error:
            line = str(error)
        else:
            return ""
        assert line.isprintable()
        assert 0 < len(line) < 1100
        return line

    return of


def _peak() -> int:
    """Most memory of this process since it was last reset, in kilobytes."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


@pytest.fixture
def bounded_memory() -> Iterator[None]:
    """The test takes no more than 300 MB beside what there was before it; looked at on Linux only."""
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        yield
        return
    reset.write_text("5")
    before = _peak()
    yield
    assert _peak() - before < 300_000
