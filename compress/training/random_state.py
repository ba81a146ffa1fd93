"""The global random state of torch, Python and numpy, which users' own modules may use."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Seed the generators of torch, Python and numpy."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def random_state() -> dict[str, Any]:
    """The state of each as tensors and numbers; of the GPUs, only the current one."""
    numpy: Any = np.random.get_state(legacy=False)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "python": random.getstate(),
        "numpy": torch.from_numpy(numpy["state"]["key"].astype(np.int64)),
        "numpy_rest": [numpy["state"]["pos"], numpy["has_gauss"], float(numpy["gauss"])],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Continue from `random_state()`."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    random.setstate(state["python"])
    np.random.set_state(("MT19937", state["numpy"].numpy().astype(np.uint32), *state["numpy_rest"]))


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """While entered, the global random state may change; on exit it is restored for the caller."""
    before = random_state()
    try:
        yield
    finally:
        set_random_state(before)
