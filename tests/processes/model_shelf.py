"""Two networks, one of each task, in every form in which people hold them, and data to score them on."""

import json
from pathlib import Path

import numpy as np
import torch
from mask_files import folder
from PIL import Image
from safetensors.torch import load_file, save_file

from compress.export import export_verified
from compress.storage.run_directory import RunDirectory
from compress.tasks.models import create_model
from compress.tasks.models.model_folder import Card, save_model

CLASSES, SIDE = ("cat", "dog", "emu"), 32
NETWORKS = {"classification": "test_resnet", "segmentation": "fpn:tu-test_resnet"}
NAMES = {"classification": CLASSES, "segmentation": ("background", "road")}


def fill_shelf(root: Path) -> Path:
    """Both networks in every form, data to score them on, and a photograph; returns the folder."""
    noise = np.random.default_rng(0)
    for name in CLASSES:
        (root / "images" / name).mkdir(parents=True)
        Image.fromarray(noise.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(root / "images" / name / "a.png")
    folder(("images/a.png", "masks/a_mask.png"), names="background\nroad\n")(root / "scenes")
    Image.fromarray(noise.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(root / "photograph.png")
    for task in NETWORKS:
        _fill(root / task, task)
    return root


def _fill(place: Path, task: str) -> None:
    torch.manual_seed(0)
    names, network = NAMES[task], NETWORKS[task]
    model = create_model(task, network, len(names)).eval()
    mean, std = (tuple(numbers.flatten().tolist()) for numbers in (model.mean, model.std))
    palette = ((0, 0, 0), (128, 64, 128)) if task == "segmentation" else ()
    card = Card(
        task=task,
        network=network,
        data="elsewhere",
        class_names=names,
        image_shape=(3, SIDE, SIDE),
        mean=mean,
        std=std,
        image_size=SIDE,
        palette=palette,
    )
    save_model(place / "student", model, card, "# student\n")
    run = RunDirectory.create(place / "run")
    run.write_config({"method": "ssd-kd"})
    save_model(run.student, model, card, "# student\n")
    export_verified(model, card.spec, place / "model.onnx")
    torch.save({"state_dict": model.network.state_dict(), "epoch": 3}, place / "weights.pth")
    (place / "names.txt").write_text("\n".join(names) + "\n")
    config = json.loads((place / "student" / "config.json").read_text())
    tensors = load_file(place / "student" / "model.safetensors")
    _library_folder(place / "library", config, tensors)
    wrapped = {**config, "model_type": "timm_wrapper", "architectures": ["TimmWrapperForImageClassification"]}
    wrapped["id2label"] = {str(index): name for index, name in enumerate(wrapped.pop("label_names", ()))}
    prefix = "timm_model." if task == "classification" else ""
    _library_folder(place / "shards", wrapped if prefix else config, {prefix + k: v for k, v in tensors.items()}, 2)


def _library_folder(place: Path, config: dict, tensors: dict, parts: int = 1) -> None:
    """What timm, SMP and the hub's libraries write: config.json, weights, and an index where they lie in parts."""
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config))
    if parts == 1:
        save_file(tensors, place / "model.safetensors")
        return
    files = [f"model-{part:05}-of-{parts:05}.safetensors" for part in range(1, parts + 1)]
    held = {name: files[index % parts] for index, name in enumerate(tensors)}
    for file in files:
        save_file({name: tensors[name] for name in tensors if held[name] == file}, place / file)
    (place / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": held}))
