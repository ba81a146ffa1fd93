"""What all tests share: one thread, a private cache, and small teachers that are taught once a session."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

torch.set_num_threads(1)  # on two cores a second thread a process makes everything slower, not faster


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("COLUMNS", "160")
        yield


@pytest.fixture
def randomness() -> torch.Generator:
    """A seeded generator."""
    return torch.Generator().manual_seed(0)


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def compress(tmp_path: Path) -> Command:
    """Runs `compress ARGUMENTS...` as a user would, in an empty directory."""

    def run(*arguments: object, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "compress", *map(str, arguments)]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=timeout, check=False)

    return run


def _taught(folder: Path, task: str, teacher: str, steps: int) -> Path:
    words = ["teach", "--task", task, "--teacher", teacher, "--steps", str(steps), "--lr", "3e-3", "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "compress", *words], check=True, capture_output=True, timeout=400)
    return folder / "model.safetensors"


@pytest.fixture(scope="session")
def classifier_weights(private_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a `cifar_resnet20` that tells digits apart better than chance."""
    return _taught(tmp_path_factory.mktemp("classifier"), "classification", "cifar_resnet20", 40)


@pytest.fixture(scope="session")
def segmenter_weights(private_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a `deeplabv3plus:tu-test_resnet` that segments digit scenes better than chance."""
    return _taught(tmp_path_factory.mktemp("segmenter"), "segmentation", "deeplabv3plus:tu-test_resnet", 100)


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
