"""Checkpoints as training scripts write them, of one small network."""

import argparse
import enum
import json
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path, PosixPath

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

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
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.rand(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


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
