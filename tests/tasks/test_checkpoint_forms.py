"""Checkpoints as people have them: each form is read without running anything, or refused with what to do.

The table of `docs/checkpoints.md` is checked against the names here.
"""

import argparse
import enum
import io
import json
import os
import pickle
import tarfile
import types
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path, PosixPath

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from compress.errors import UsageError
from compress.tasks.models import read_weights
from compress.tasks.models.weights import classes_of, fit_weights
from compress.teacher import WeightChoice

State = dict[str, Tensor]


class Network(nn.Module):
    """As small as a network with all kinds of tensors can be."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, classes)
        self.register_buffer("unsaved", torch.ones(1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.stem(images).mean(dim=(2, 3)))


def trained(seed: int = 0, classes: int = 3) -> Network:
    torch.manual_seed(seed)
    network = Network(classes).eval()
    network.stem[1].running_mean.uniform_()
    return network


TEACHER, OTHER = trained(0), trained(1)
STATE: State = TEACHER.state_dict()


def under(prefix: str, state: State = STATE) -> State:
    return {f"{prefix}{name}": value for name, value in state.items()}


def beside(**extra: object) -> dict[str, object]:
    return {**STATE, **{name.replace("__", "."): value for name, value in extra.items()}}


class Colour(enum.Enum):
    RED = 1


class Config(dict):
    """A dictionary with attributes, as configuration libraries have them."""


class Node:
    """An object with a state, as OmegaConf's are."""

    def __init__(self) -> None:
        self.__dict__["_content"], self.__dict__["_parent"] = {"lr": 0.1}, self


OPTIONS = argparse.Namespace(
    lr=0.1, data=PosixPath("/data"), colour=Colour.RED, device=torch.device("cpu"), dtype=torch.float16, config=Node()
)
SCORES = {"top1": np.float64(0.7), "best": np.int64(3), "curve": np.arange(3.0), "set": {1, 2}, "bytes": b"abc"}


def optimiser() -> object:
    network = trained()
    made = torch.optim.AdamW(network.parameters())
    network(torch.rand(2, 3, 8, 8)).sum().backward()
    made.step()
    return made.state_dict()


def lightning(**more: object) -> dict[str, object]:
    return {
        "epoch": 3,
        "global_step": 100,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": under("model."),
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": "x", "score": torch.tensor(0.5)}},
        "optimizer_states": [optimiser()],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1, "backbone": OPTIONS},
        **more,
    }


def saved(content: object, **options: object) -> Callable[[Path], Path]:
    def save(folder: Path) -> Path:
        torch.save(content, folder / "weights.pth", **options)
        return folder / "weights.pth"

    return save


def tensors(state: State) -> Callable[[Path], Path]:
    def save(folder: Path) -> Path:
        save_file({name: value.contiguous() for name, value in state.items()}, folder / "weights.safetensors")
        return folder / "weights.safetensors"

    return save


def pickled(content: object, protocol: int = 4) -> Callable[[Path], Path]:
    def save(folder: Path) -> Path:
        (folder / "weights.pkl").write_bytes(pickle.dumps(content, protocol))
        return folder / "weights.pkl"

    return save


def sharded(folder: Path) -> Path:
    names = list(STATE)
    places = {name: f"model-0000{1 + index % 2}-of-00002.safetensors" for index, name in enumerate(names)}
    for file in set(places.values()):
        save_file({name: STATE[name] for name in names if places[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def in_folder(name: str, save: Callable[[Path], Path]) -> Callable[[Path], Path]:
    def place(folder: Path) -> Path:
        save(folder).rename(folder / name)
        (folder / "config.json").write_text("{}")
        return folder

    return place


def bare(module: nn.Module) -> nn.Module:
    """A module of a class that exists nowhere when the file is read."""
    module.helper = partial(print, "never")
    return module


class Wrapped(nn.Module):
    """A Lightning module without Lightning."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.criterion = trained(), nn.CrossEntropyLoss(weight=torch.ones(3))
        self.register_buffer("mean", torch.zeros(3))


ALL_NUMPY = {name: value.numpy() for name, value in STATE.items()}
READ: dict[str, Callable[[Path], Path]] = {
    # what torch.save writes of a state dictionary
    "state dictionary": saved(STATE),
    "state dictionary, before torch 1.6": saved(STATE, _use_new_zipfile_serialization=False),
    "OrderedDict of parameters": saved(
        OrderedDict((k, nn.Parameter(v) if v.is_floating_point() else v) for k, v in STATE.items())
    ),
    "pickle protocol 3": saved({"state_dict": STATE, **SCORES}, pickle_protocol=3),
    "pickle protocol 4": saved({"state_dict": STATE, **SCORES, "args": OPTIONS}, pickle_protocol=4),
    "pickle protocol 5": saved({"state_dict": STATE, **SCORES, "args": OPTIONS}, pickle_protocol=5),
    "half precision": saved({k: v.half() if v.is_floating_point() else v for k, v in STATE.items()}),
    "bfloat16": saved({k: v.bfloat16() if v.is_floating_point() else v for k, v in STATE.items()}),
    "double precision": saved({k: v.double() if v.is_floating_point() else v for k, v in STATE.items()}),
    "without the counters of batch normalisation": saved({k: v for k, v in STATE.items() if "num_batches" not in k}),
    "views of one storage": saved(
        dict(zip(STATE, [v.clone().t().t() if v.ndim == 2 else v for v in STATE.values()], strict=True))
    ),
    "not contiguous": saved(
        {k: v.transpose(0, -1).contiguous().transpose(0, -1) if v.ndim > 1 else v for k, v in STATE.items()}
    ),
    # prefixes, in any order and repeated
    **{
        f"prefix {prefix}": saved(under(prefix))
        for prefix in (
            "module.",
            "model.",
            "net.",
            "network.",
            "backbone.",
            "student.",
            "timm_model.",
            "_orig_mod.",
            "encoder.",
            "module.module.",
            "_orig_mod.module.",
            "module._orig_mod.",
            "model._orig_mod.",
            "module.model.net.",
        )
    },
    "torch.compile on a part": saved({k.replace("stem.", "stem._orig_mod."): v for k, v in STATE.items()}),
    "FSDP wrappers": saved(
        {k.replace("stem.", "_fsdp_wrapped_module.stem._checkpoint_wrapped_module."): v for k, v in STATE.items()}
    ),
    # containers
    **{
        f"container {key}": saved({key: STATE, "epoch": 3})
        for key in (
            "state_dict",
            "model_state_dict",
            "model",
            "net",
            "network",
            "weights",
            "params",
            "module",
            "model_state",
            "teacher",
            "state_dict_ema",
            "ema_state_dict",
            "generator",
        )
    },
    "model_ema of torchvision": saved({"model_ema": {**under("module."), "n_averaged": torch.tensor(3)}}),
    "container in container": saved({"checkpoint": {"model": {"state_dict": under("module.")}}}),
    "tuple of weights and optimiser": saved((STATE, optimiser(), 3)),
    "parts under names of their own": saved(
        {
            part: {k.removeprefix(f"{part}."): v for k, v in STATE.items() if k.startswith(part)}
            for part in ("stem", "head")
        }
    ),
    "defaultdict": saved({"weights": defaultdict(list, STATE)}),
    "dictionary with attributes": saved({"state_dict": Config(STATE)}),
    # what training scripts save
    "timm's train.py": saved(
        {
            "epoch": 3,
            "arch": "x",
            "state_dict": under("module."),
            "optimizer": optimiser(),
            "version": 2,
            "args": OPTIONS,
            "metric": np.float64(1),
        }
    ),
    "DeiT's main.py": saved(
        {"model": STATE, "optimizer": optimiser(), "lr_scheduler": {}, "epoch": 3, "scaler": {}, "args": OPTIONS}
    ),
    "torchvision's train.py": saved(
        {"model": STATE, "optimizer": optimiser(), "lr_scheduler": {}, "epoch": 3, "args": OPTIONS}
    ),
    "Lightning": saved(lightning()),
    "Lightning, with buffers and a loss": saved(
        lightning(
            state_dict={
                **under("net."),
                "mean": torch.zeros(3),
                "std": torch.ones(3),
                "criterion.weight": torch.ones(3),
                "val_acc.correct": torch.tensor(3),
            }
        )
    ),
    "Lightning, legacy pickle": saved(lightning(), _use_new_zipfile_serialization=False),
    "fastai": saved({"model": STATE, "opt": optimiser()}),
    "mmengine": saved(
        {
            "meta": {"cfg": "text", "dataset_meta": {"CLASSES": ("a", "b", "c")}},
            "state_dict": under("backbone."),
            "message_hub": Node(),
            "optimizer": optimiser(),
        }
    ),
    "numpy scalars and arrays beside": saved({"state_dict": STATE, **SCORES}),
    "a function and a lambda's kin beside": saved(
        {"state_dict": STATE, "loss": partial(print, "never"), "kind": Colour.RED}
    ),
    # extras among the weights
    "a loss beside": saved(beside(criterion__weight=torch.ones(3), loss_fn__pos_weight=torch.ones(1))),
    "normalisation beside": saved(beside(mean=torch.zeros(3), std=torch.ones(3), normalize__mean=torch.zeros(3))),
    "metrics beside": saved(beside(val_acc__total=torch.ones(1), train_iou__confmat=torch.ones(3, 3))),
    "a profiler's counters": saved(beside(total_ops=torch.ones(1), stem__total_params=torch.ones(1))),
    "another network beside": saved(
        {**under("student."), **{f"projector.{i}.weight": torch.ones(2) for i in range(3)}}
    ),
    "a smaller student beside its teacher": saved(
        {**under("student."), "teacher.stem.0.weight": torch.ones(64, 3, 3, 3)}
    ),
    # whole modules
    "whole module": saved(bare(trained())),
    "whole module, before torch 1.6": saved(bare(trained()), _use_new_zipfile_serialization=False),
    "whole module in DataParallel": saved(nn.DataParallel(trained())),
    "whole module in a container": saved({"model": bare(trained()), "args": OPTIONS}),
    "whole module with a loss": saved(Wrapped()),
    # other files
    "safetensors": tensors(STATE),
    "safetensors with a prefix": tensors(under("model.")),
    "pickle of numpy arrays": pickled({"model": ALL_NUMPY, "__author__": "someone"}),
    "pickle of numpy arrays, protocol 2": pickled({"model": ALL_NUMPY}, 2),
    "pickle of tensors": pickled(dict(STATE)),
    "torch file of numpy arrays": saved({"params": ALL_NUMPY}),
    "folder with model.safetensors": in_folder("model.safetensors", tensors(STATE)),
    "folder with pytorch_model.bin": in_folder("pytorch_model.bin", saved(STATE)),
    "folder with one checkpoint": in_folder("best.pth", saved({"state_dict": STATE})),
    "folder with shards and an index": sharded,
}


@pytest.fixture(autouse=True)
def torch_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's own reader, which imports what a file names, is not called."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("torch.load was called")

    monkeypatch.setattr(torch, "load", refuse)


@pytest.mark.parametrize("form", READ)
def test_it_is_read(form: str, tmp_path: Path) -> None:
    network = trained(7)
    fit_weights(network, read_weights(READ[form](tmp_path)), "weights")
    coarse = {"half precision": 1e-2, "bfloat16": 5e-2}.get(form, 0)
    for name, value in network.state_dict().items():
        assert torch.allclose(value, STATE[name], atol=coarse, rtol=0), name


def both(**more: State) -> dict[str, State]:
    return {"state_dict": OTHER.state_dict(), **more}


AVERAGES = {
    "state_dict_ema": both(state_dict_ema=STATE),
    "model_ema": both(model_ema=under("module.")),
    "ema_state_dict": both(ema_state_dict=STATE),
    "ema": both(ema={"model": STATE}),
    "teacher and student": {"student": under("module.", OTHER.state_dict()), "teacher": under("module.")},
    "in one dictionary": {"state_dict": {**under("model.", OTHER.state_dict()), **under("ema_model.")}},
    "swa": both(swa_model=STATE),
}


@pytest.mark.parametrize("form", AVERAGES)
def test_the_moving_average_is_taken_and_the_other_offered(form: str, tmp_path: Path) -> None:
    tensors, network = read_weights(saved(AVERAGES[form])(tmp_path)), trained(7)
    (note,) = (note for note in fit_weights(network, tensors, "weights.pth") if "moving average" in note)
    assert torch.equal(network.head.weight, TEACHER.head.weight)
    other = note.rpartition("other: ")[2]
    fit_weights(network, tensors, "weights.pth", WeightChoice(key=other))
    assert torch.equal(network.head.weight, OTHER.head.weight)


def test_two_weights_that_are_the_same_are_one(tmp_path: Path) -> None:
    assert fit_weights(trained(7), read_weights(saved(both(again=OTHER.state_dict()))(tmp_path)), "w") == ()


def test_of_two_weights_that_nothing_tells_apart_one_is_asked_for(tmp_path: Path) -> None:
    tensors, network = read_weights(saved({"first": STATE, "second": OTHER.state_dict()})(tmp_path)), trained(7)
    with pytest.raises(UsageError, match=r"2 weights that fit: say which with `teacher_key`: first, second"):
        fit_weights(network, tensors, "weights.pth")
    fit_weights(network, tensors, "weights.pth", WeightChoice(key="second"))
    assert torch.equal(network.head.weight, OTHER.head.weight)
    with pytest.raises(UsageError, match=r"nothing under 'third': its names begin with first, second"):
        fit_weights(network, tensors, "weights.pth", WeightChoice(key="third"))


def test_what_lies_beside_is_said_and_a_normalisation_with_its_numbers(tmp_path: Path) -> None:
    content = {**under("net."), "mean": torch.tensor([0.5, 0.25, 0.1]), "projector.weight": torch.ones(2)}
    notes = fit_weights(trained(7), read_weights(saved({"state_dict": content})(tmp_path)), "weights.pth")
    assert "taken from state_dict.net; left out: mean, projector" in notes[0]
    assert "mean 0.5, 0.25, 0.1" in notes[1]
    assert "`mean`" in notes[1]


def foreign(state: State = STATE) -> State:
    return {f"features.{index}.{name.rpartition('.')[2]}": value for index, (name, value) in enumerate(state.items())}


def test_foreign_names_are_offered_by_order_and_never_taken_by_themselves(tmp_path: Path) -> None:
    tensors, network = read_weights(saved({"state_dict": foreign()})(tmp_path)), trained(7)
    before = network.head.weight.clone()
    with pytest.raises(UsageError, match="`match` order takes them so"):
        fit_weights(network, tensors, "weights.pth")
    assert torch.equal(network.head.weight, before)
    assert "matched by their order" in fit_weights(network, tensors, "weights.pth", WeightChoice(match="order"))[0]
    assert all(torch.equal(value, STATE[name]) for name, value in network.state_dict().items() if "num_b" not in name)


@pytest.mark.parametrize("change", ["swapped", "renamed", "reshaped", "one less"])
def test_tensors_in_another_order_are_not_matched_by_it(change: str) -> None:
    names = list(foreign())
    state = foreign()
    if change == "swapped":
        names[1], names[2] = names[2], names[1]
    state = {name: state[name] for name in names[: -1 if change == "one less" else None]}
    if change == "renamed":
        state = {name.replace("1.weight", "1.bias"): value for name, value in state.items()}
    if change == "reshaped":
        state[names[0]] = torch.ones(4, 3, 5, 5)
    with pytest.raises(UsageError, match="by the order of its tensors"):
        fit_weights(trained(7), state, "weights.pth", WeightChoice(match="order"))
    with pytest.raises(UsageError, match="check the name and the classes"):
        fit_weights(trained(7), state, "weights.pth")


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, function: object, *arguments: object, state: object = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[object, ...]:
        return self.parts


def tar(folder: Path) -> Path:
    with tarfile.open(folder / "weights.pth", "w") as archive:
        archive.addfile(tarfile.TarInfo("weights"), io.BytesIO())
    return folder / "weights.pth"


def scripted(folder: Path) -> Path:
    torch.jit.script(nn.Linear(2, 2)).save(str(folder / "weights.pth"))
    return folder / "weights.pth"


def numpy_archive(folder: Path) -> Path:
    np.savez(folder / "weights.npz", **ALL_NUMPY)
    return folder / "weights.npz"


def plain_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "weights.zip", "w") as archive:
        archive.writestr("weights.pth", b"inside")
    return folder / "weights.zip"


def written(content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "weights.pth").write_bytes(content)
        return folder / "weights.pth"

    return write


def two_files(folder: Path) -> Path:
    saved(STATE)(folder).rename(folder / "a.pth")
    saved(STATE)(folder)
    return folder


def index_elsewhere(folder: Path) -> Path:
    sharded(folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))
    return folder


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "TorchScript": (scripted, r"it is TorchScript.*torch\.jit\.load"),
    "numpy archive": (numpy_archive, "numpy arrays; convert it"),
    "zip archive": (plain_zip, "unpack it"),
    "tar archive": (tar, "tar archive: unpack it"),
    "gzip": (written(b"\x1f\x8b\x08" + bytes(9)), "gzip: unpack it"),
    "HDF5 of Keras": (written(b"\x89HDF\r\n\x1a\n" + bytes(9)), "Keras"),
    "ONNX": (written(b"\x08\x0a\x12\x07pytorch"), "an ONNX file"),
    "Git LFS pointer": (written(b"version https://git-lfs.github.com/spec/v1\noid sha256:1"), "git lfs pull"),
    "web page": (written(b"<!DOCTYPE html><title>Sign in</title>"), "web page"),
    "empty file": (written(b""), "it is empty"),
    "text": (written(b"epoch 3"), "no file of torch's"),
    "pickle protocol 0": (pickled({"a": 1}, 0), "no file of torch's"),
    "cut short": (lambda folder: written(saved(STATE)(folder).read_bytes()[:900])(folder), r"weights_only=False"),
    "no tensors": (saved({"epoch": 3, "args": OPTIONS}), r"save the model's state_dict\(\)"),
    "tensors without names": (saved(list(STATE.values())), r"save the model's state_dict\(\)"),
    "folder with two checkpoints": (two_files, "holds 2 files of weights: name one"),
    "folder without any": (lambda folder: folder, "holds 0 files of weights"),
    "index that leads elsewhere": (index_elsewhere, "no index of weights"),
    "missing": (lambda folder: folder / "nowhere.pth", "no weights file"),
}


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


def test_the_number_of_classes_is_told_by_the_last_layer(tmp_path: Path) -> None:
    tensors = read_weights(saved({"state_dict": under("module.", trained(0, 9).state_dict())})(tmp_path))
    with torch.device("meta"):
        sketch = Network(3)
    assert classes_of(sketch, 3, tensors) == 9
    assert classes_of(Network(9), 9, tensors) == 9
    assert classes_of(nn.Linear(5, 2), 2, tensors) is None


def test_the_page_on_checkpoints_says_what_each_form_does() -> None:
    page = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()
    table = page.partition("## Forms")[2].partition("##")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][2:]
    assert rows == [*READ, *AVERAGES, *REFUSED]
    assert len(rows) > 60
