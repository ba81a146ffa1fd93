"""Checkpoints as people have them: each form is read without running anything.

The table of `docs/checkpoints.md` is checked against the names here.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import (
    ALL_NUMPY,
    AVERAGES,
    OPTIONS,
    SCORES,
    STATE,
    Colour,
    Config,
    Node,
    Wrapped,
    bare,
    beside,
    in_folder,
    lightning,
    optimiser,
    pickled,
    saved,
    sharded,
    tensors,
    trained,
    under,
)
from refused_checkpoints import REFUSED
from torch import nn

from compress.tasks.models import read_weights
from compress.tasks.models.weights import fit_weights

pytestmark = pytest.mark.usefixtures("torch_reads_nothing")


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


@pytest.mark.parametrize("form", READ)
def test_it_is_read(form: str, tmp_path: Path) -> None:
    network = trained(7)
    fit_weights(network, read_weights(READ[form](tmp_path)), "weights")
    coarse = {"half precision": 1e-2, "bfloat16": 5e-2}.get(form, 0)
    for name, value in network.state_dict().items():
        assert torch.allclose(value, STATE[name], atol=coarse, rtol=0), name


def test_the_page_on_checkpoints_says_what_each_form_does() -> None:
    page = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()
    table = page.partition("## Forms")[2].partition("##")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][2:]
    assert rows == [*READ, *AVERAGES, *REFUSED]
    assert len(rows) > 60
