"""A checkpoint is believed when its sums, types and ranges are those of one."""

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from compress.errors import UsageError
from compress.storage.run_directory import RunDirectory

STATE: dict[str, Any] = {
    "next_round": 2, "step": 6, "micro_batches": 1, "learning_rate_scale": 0.5,
    "seconds": {"inversion": 1.0, "distillation": 2.0},
    "history": [{"round": 0, "kl": 0.5}, {"round": 1, "kl": math.nan}],
    "student": {"weight": torch.arange(5000.0)},
}  # fmt: skip


def test_every_single_flipped_bit_of_the_numbers_and_their_description_is_noticed(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path)
    run.write_checkpoint(STATE)
    whole, draw, refused = run.checkpoint.read_bytes(), random.Random(0), 0
    begins = whole.index(STATE["student"]["weight"].numpy().tobytes())
    described = whole.index(b"learning_rate_scale")
    for index in range(30):
        at = draw.randrange(begins, begins + 20_000) if index % 3 else draw.randrange(described, described + 200)
        broken = bytearray(whole)
        broken[at] ^= 1 << draw.randrange(8)
        run.checkpoint.write_bytes(broken)
        with pytest.raises(UsageError, match=r"^the checkpoint of [^\n]* is broken: [^\n]*run it anew"):
            run.read_checkpoint()
        refused += 1
    assert refused == 30
    run.checkpoint.write_bytes(whole)
    assert run.read_checkpoint(rounds=4)["next_round"] == 2


WRONG: dict[str, Any] = {
    "next_round": [10**9, -1, "2", 2.0, True, None, 5],
    "step": ["x", -1, 2**40],
    "micro_batches": [0, "1"],
    "learning_rate_scale": [0.0, 2.0, math.nan, "half"],
    "seconds": [[], {"inversion": "long"}, {"inversion": -1.0}, {"inversion": math.inf}],
    "history": ["text", ["text"], [["kl", 1]], [{"kl": "low"}], [{1: 2.0}], [{"round": 1}], [{"kl": None}], [{}] * 5],
    "format": [2, "1", 0, None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, several in WRONG.items() for value in several])
def test_what_no_run_writes_is_refused(name: str, value: object, tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path)
    run.write_checkpoint({**STATE, name: value})
    with pytest.raises(UsageError, match=rf"^the checkpoint of [^\n]* is broken: [^\n]*{name}"):
        run.read_checkpoint(rounds=4)


def test_a_checkpoint_of_version_0_1_0_has_no_format_and_is_looked_at_but_not_continued(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path)
    run.checkpoint.parent.mkdir(parents=True)
    torch.save(STATE, run.checkpoint)
    assert run.read_checkpoint()["step"] == 6
    with pytest.raises(UsageError, match=r"begun by compress 0\.1\.0: resume it with that"):
        run.read_checkpoint(rounds=4)


def test_what_is_no_archive_is_broken(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path)
    run.checkpoint.parent.mkdir(parents=True)
    for content in (b"", b"PK\x03\x04", b"text"):
        run.checkpoint.write_bytes(content)
        with pytest.raises(UsageError, match="is broken"):
            run.read_checkpoint()
