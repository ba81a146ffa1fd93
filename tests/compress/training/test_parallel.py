"""Several workers do together what one process does alone."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves

from compress.errors import CompressError, UsageError
from compress.synthesis.priors import channel_moments, pooled_moments
from compress.training.parallel import Workers, first_to_fail

ALONE = Workers()
SCRIPT = Path(__file__).parents[2] / "processes" / "shared_run.py"
CASES = [
    f"{method} positions={positions} normalised={normalised}"
    for method in ("ssd-kd", "fast-dfkd", "deep-inversion", "zskt")
    for positions in (False, True)
    for normalised in (False, True)
]


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two workers found."""
    folder = tmp_path_factory.mktemp("workers")
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT), str(folder)]
    subprocess.run([sys.executable, *words], check=True, timeout=120)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.fixture(scope="module")
def one_process() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))["run_all"](ALONE)


@pytest.mark.parametrize("case", CASES)
def test_all_workers_end_with_the_same_state_bit_for_bit(two_workers, case: str) -> None:
    first, second = (tree_leaves(worker["runs"][case]) for worker in two_workers)
    assert len(first) == len(second) > 20
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("case", CASES[::2])
def test_but_for_batch_normalisation_two_workers_do_what_one_process_does(two_workers, one_process, case: str) -> None:
    together, alone = two_workers[0]["runs"][case], one_process[case]
    torch.testing.assert_close(together["numbers"], alone["numbers"], rtol=1e-3, atol=1e-3)
    weights = {"student": (together["student"], alone["student"])}
    if "generator" in alone["inversion"]:
        weights["generator"] = (together["inversion"]["generator"], alone["inversion"]["generator"])
    for network, (found, expected) in weights.items():
        for name, value in expected.items():
            # a rounding apart may be one grey level apart, and Adam magnifies the rounding of gradients
            assert (found[name] - value).norm() <= 2e-3 * value.norm(), f"{network}: {name}"
    changed = (together["buffer"]["images"].int() - alone["buffer"]["images"].int()).abs()
    assert changed.max() <= 1, "but for rounding the buffer holds the same images in the same places"
    assert torch.equal(together["randomness"]["own"], alone["randomness"]["own"])


def test_workers_take_the_first_ones_weights_and_hear_each_other(two_workers) -> None:
    assert [worker["aligned"] for worker in two_workers] == [True, True]
    assert [worker["any"] for worker in two_workers] == [True, True]


def test_a_single_process_sends_nothing_and_changes_nothing() -> None:
    values, model = torch.rand(6, 2), torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with ALONE.joined(torch.device("cpu")):
        assert not torch.distributed.is_initialized()
        assert torch.equal(ALONE.gather(values), values)
        assert torch.equal(ALONE.mean(values), values)
        assert ALONE.mean_numbers({"kl": 0.1}) == {"kl": 0.1}
        assert [ALONE.any(fact) for fact in (False, True)] == [False, True]
        ALONE.average([values])
        ALONE.align(model)
        ALONE.exchange(optimizer, model.parameters())()
    assert torch.equal(values[ALONE.share(6)], values)
    moments = [channel_moments(torch.rand(4, 3, 5, 5))]
    assert pooled_moments(moments, ALONE) is moments


def test_without_torchrun_there_is_one_worker_and_it_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")  # as other launchers set it
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert Workers.from_environment() == ALONE
    assert ALONE.leads
    assert first_to_fail()


def test_a_worker_that_is_no_more_is_one_plain_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_: torch.Tensor) -> None:
        raise RuntimeError("[pair.cc:545] Read error [127.0.0.1]:13994: Connection reset by peer")

    monkeypatch.setattr(torch.distributed, "all_reduce", lost)
    with pytest.raises(CompressError, match="another worker of this run has ended"):
        Workers(0, 2).mean(torch.zeros(1))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_shares_are_equal_and_cover_everything(size: int) -> None:
    shares = [torch.arange(12)[Workers(rank, size).share(12)] for rank in range(size)]
    assert torch.equal(torch.cat(shares), torch.arange(12))
    assert {len(share) for share in shares} == {12 // size}


def test_counts_that_cannot_be_shared_are_named() -> None:
    Workers(0, 4).require_shares({"batch": 8})
    with pytest.raises(UsageError, match="batch 10 is not divisible by the number of workers, 4: use 12"):
        Workers(0, 4).require_shares({"batch": 10})
