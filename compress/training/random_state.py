"""The random numbers that nobody passes down: those of torch, Python and numpy, for modules of a user's own too."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Begin all of them at `seed`."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def random_state() -> dict[str, Any]:
    """Where each of them stands, as tensors and numbers; of the GPUs, the one that is in use."""
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
    """Whatever happens while this is entered, the caller's random numbers go on as if nothing had."""
    before = random_state()
    try:
        yield
    finally:
        set_random_state(before)
