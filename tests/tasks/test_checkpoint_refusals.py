"""What is no checkpoint is refused with what to do, and code in one is never run."""

import os
import types
from pathlib import Path

import pytest
import torch
from checkpoint_files import OPTIONS, STATE, TEACHER, saved, trained
from refused_checkpoints import REFUSED, written

from compress.errors import UsageError
from compress.tasks.models import read_weights
from compress.tasks.models.weights import fit_weights

pytestmark = pytest.mark.usefixtures("torch_reads_nothing")


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, function: object, *arguments: object, state: object = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[object, ...]:
        return self.parts


@pytest.mark.parametrize("form", REFUSED)
def test_it_is_refused_with_what_to_do(form: str, tmp_path: Path) -> None:
    build, message = REFUSED[form]
    with pytest.raises(UsageError, match=message) as refused:
        read_weights(build(tmp_path))
    assert "\n" not in str(refused.value)


HOSTILE = {
    "a call": Calls(os.mkdir, "run"),
    "a call with a state": Calls(os.mkdir, "run", state={"a": 1}),
    "eval": Calls(eval, "__import__('os').mkdir('run')"),
    "an import": Calls(__import__, "antigravity"),
    "a class that does things when made": Calls(types.SimpleNamespace, state={"a": 1}),
    "a file": Calls(open, "run", "w"),
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("form", HOSTILE)
def test_code_beside_weights_is_not_run(
    form: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    file = saved({"state_dict": STATE, "args": HOSTILE[form]}, pickle_protocol=protocol)(tmp_path)
    network = trained(7)
    fit_weights(network, read_weights(file), "weights.pth")
    assert torch.equal(network.head.weight, TEACHER.head.weight)
    assert not list((tmp_path / "here").iterdir())


def built(instructions: bytes) -> bytes:
    """A pickle of `state_dict` that first does something to a stand-in."""
    return b"\x80\x02" + instructions + b"0}."


@pytest.mark.parametrize(
    "instructions",
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00__code__Nsb",  # the function's own dictionary
        b"ctorch._utils\n_rebuild_tensor_v2\nN}X\x09\x00\x00\x00_functionNs\x86b",  # its slots
        b"ctorch\nFloatStorage\nN}X\x04\x00\x00\x00nameNs\x86b",
        b"cos\nsystem\nN}X\x08\x00\x00\x00__call__Ns\x86b",  # the class of inert objects
        b"ctorch\nFloatStorage\n)\x81",  # a type that is made
    ],
)
def test_a_file_cannot_change_what_reads_it(instructions: bytes, tmp_path: Path) -> None:
    file = written(built(instructions))(tmp_path)
    with pytest.raises(UsageError, match="cannot read weights"):
        read_weights(file)
    fit_weights(trained(7), read_weights(saved({"state_dict": STATE, "args": OPTIONS})(tmp_path)), "weights.pth")
