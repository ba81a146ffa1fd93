"""Malformed files and settings by the hundred, over all loaders: each is read soundly or refused in one line.

`pytest tests/test_hostile.py -s` prints how many of each kind there were and how many were refused.
"""

import pickle
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import torch
import yaml
from onnx import TensorProto, helper
from PIL import Image
from scipy.io import savemat

from compress.export import FileCard, OnnxModel
from compress.runs.resolution import resolve
from compress.storage.run_directory import RunDirectory
from compress.tasks.data import open_data
from compress.tasks.data.class_list import read_class_list
from compress.tasks.data.image_folder import read_image
from compress.tasks.models import create_model, read_weights
from compress.tasks.models.model_folder import Card, load_model, save_model

MUTATIONS = 24
"""Of each good file."""
NAMES = ("red", "green", "blue")
Load = Callable[[Path], object]


@pytest.fixture(scope="module")
def counts() -> Iterator[Counter[tuple[str, str]]]:
    """(kind, outcome) of every case; printed at the end."""
    outcomes: Counter[tuple[str, str]] = Counter()
    yield outcomes
    print()
    for kind in sorted({kind for kind, _ in outcomes}):
        print(f"{kind:24} {outcomes[kind, 'refused']:4} refused, {outcomes[kind, 'read']:4} read")
    print(f"{'all':24} {outcomes.total()} cases")


def mutations(content: bytes, seed: int) -> Iterator[bytes]:
    """Cut, flipped, swapped, blanked, repeated, lengthened."""
    draw = random.Random(seed)
    for index in range(MUTATIONS):
        changed = bytearray(content)
        at, other = sorted(draw.choices(range(len(content)), k=2))
        if index % 4 == 0:  # the beginning says what the rest is
            at = draw.randrange(min(len(content), 128))
        match index % 6:
            case 0:
                changed[at] ^= 1 << draw.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                changed[at], changed[other] = changed[other], changed[at]
            case 3:
                changed[at : at + 8] = draw.choice((b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7))
            case 4:
                changed[at:at] = changed[at:other][:300]
            case 5:
                changed += draw.randbytes(40)
        yield bytes(changed)


def weights(folder: Path) -> Path:
    torch.save({"state_dict": torch.nn.Conv2d(3, 2, 1).state_dict(), "epoch": 3}, folder / "weights.pt")
    return folder / "weights.pt"


def legacy_weights(folder: Path) -> Path:
    file = folder / "weights.th"
    torch.save(torch.nn.Conv2d(3, 2, 1).state_dict(), file, _use_new_zipfile_serialization=False)
    return file


def model(folder: Path) -> Path:
    card = Card(
        task="classification",
        network="cifar_wrn_16_1",
        data="digits",
        class_names=NAMES,
        image_shape=(3, 32, 32),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    save_model(folder, create_model("classification", "cifar_wrn_16_1", 3), card, "#")
    return folder / "model.safetensors"


def stored(folder: Path) -> Path:
    network = create_model("classification", "test_resnet", 3)
    card = Card(
        task="classification",
        network="test_resnet",
        data="digits",
        class_names=NAMES,
        image_shape=(3, 32, 32),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    save_model(folder, network, card, "#")
    return folder / "config.json"


def checkpoint(folder: Path) -> Path:
    (folder / "config.yaml").write_text("seed: 1\n")
    state = {"history": [{"round": 0, "kl": 0.5}], "step": 3, "buffer": {"images": torch.zeros(2, 3, 4, 4)}}
    RunDirectory(folder).write_checkpoint(state)
    return RunDirectory(folder).checkpoint


def image(folder: Path, name: str = "image.png") -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def cifar(folder: Path) -> Path:
    for name in ("test_batch", *(f"data_batch_{number}" for number in range(1, 6))):
        table = {"labels": list(range(10)), "data": np.zeros((10, 3072), np.uint8)}
        (folder / name).write_bytes(pickle.dumps(table, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}, protocol=2))
    return folder / "test_batch"


def mat(folder: Path) -> Path:
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        options = {"compression": "gzip", "chunks": True}
        file.create_dataset("images", data=np.zeros((4, 3, 16, 12), np.uint8), **options)
        file.create_dataset("labels", data=np.ones((4, 16, 12), np.uint16), **options)
        file["names"] = np.zeros((1, 894))
    splits(folder)
    return folder / "nyu_depth_v2_labeled.mat"


def splits(folder: Path, *, compressed: bool = False) -> Path:
    columns = {"trainNdxs": np.array([[1], [2]], np.uint16), "testNdxs": np.array([[3], [4]], np.uint16)}
    savemat(folder / "splits.mat", columns, do_compression=compressed)
    return folder / "splits.mat"


def split_file(folder: Path) -> Path:
    mat(folder)
    return splits(folder, compressed=True)


def onnx_file(folder: Path) -> Path:
    shapes = (("images", ["batch", 3, 8, 8]), ("logits", ["batch", 3]))
    input_info, answered = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes)
    mean, flat = (
        helper.make_node("GlobalAveragePool", ["images"], ["m"]),
        helper.make_node("Flatten", ["m"], ["logits"]),
    )
    graph = helper.make_graph([mean, flat], "graph", [input_info], [answered])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(
        model,
        FileCard(
            task="classification", class_names=NAMES, image_shape=(3, 8, 8), image_size=8, output="logits"
        ).entries(),
    )
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def classes(folder: Path) -> Path:
    (folder / "classes.txt").write_text("road 128 64 128\ntree 1 2 3\nvoid 0 0 0\n")
    return folder / "classes.txt"


def config(folder: Path) -> Path:
    text = yaml.safe_dump({"seed": 3, "teacher": "resnet34", "replay": {"capacity": 9000}, "distillation": {"lr": 0.1}})
    (folder / "config.yaml").write_text(text)
    return folder / "config.yaml"


def nyuv2(file: Path) -> object:
    return open_data("nyuv2", "segmentation", file.parent).held_out()


def run_onnx(file: Path) -> object:
    return OnnxModel(file).run(np.zeros((1, 3, 8, 8), np.float32))


KINDS: dict[str, tuple[Callable[[Path], Path], Load]] = {
    "weights, zip": (weights, read_weights),
    "weights, legacy": (legacy_weights, read_weights),
    "model.safetensors": (model, load_model),
    "timm config.json": (stored, lambda file: create_model("classification", f"local-dir:{file.parent}", 3)),
    "checkpoint": (checkpoint, lambda file: RunDirectory(file.parent.parent.parent).read_checkpoint()),
    "png": (image, lambda file: read_image(file, 8)),
    "jpg": (lambda folder: image(folder, "image.jpg"), lambda file: read_image(file, 8)),
    "cifar batch": (cifar, lambda file: open_data("cifar10", "classification", file.parent).held_out()),
    "nyuv2 .mat": (mat, nyuv2),
    "nyuv2 splits.mat": (split_file, nyuv2),
    "onnx": (onnx_file, run_onnx),
    "classes.txt": (classes, read_class_list),
    "config.yaml": (config, lambda file: resolve({}, str(file))),
}


@pytest.mark.usefixtures("bounded_memory")
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_read_soundly_or_refused_in_one_line(
    kind: str, tmp_path: Path, counts: Counter[tuple[str, str]], capfd: pytest.CaptureFixture[str], complaint
) -> None:
    make, load = KINDS[kind]
    file = make(tmp_path)
    whole, before = file.read_bytes(), sorted(tmp_path.rglob("*"))
    load(file)
    for content in (*mutations(whole, len(kind)), b"", b"\0" * 64):
        file.write_bytes(content)
        counts[kind, "refused" if complaint(lambda: load(file)) else "read"] += 1
    assert counts[kind, "refused"] > MUTATIONS // 4
    assert sorted(tmp_path.rglob("*")) == before
    assert capfd.readouterr() == ("", "")
