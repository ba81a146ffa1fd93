"""CUDA where there is a card, elsewhere a pretend device that is as strict."""

from collections.abc import Iterator

import pretend_accelerator
import pretend_graph
import pytest
import torch

from compress.training import capture


@pytest.fixture
def device() -> Iterator[torch.device]:
    """CUDA, or the pretend device while the test runs."""
    if torch.cuda.is_available():
        yield torch.device("cuda")
        return
    with pretend_accelerator.accelerator():
        yield pretend_accelerator.DEVICE


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pretend device records steps, too."""
    monkeypatch.setitem(capture.GRAPHS, pretend_accelerator.DEVICE.type, pretend_graph.PretendGraph)
