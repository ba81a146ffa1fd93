"""Folders of photographs by class, weights of a small classifier, and the data opened for a teacher."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from compress.data_settings import HeldOutSettings
from compress.runs.reading import open_for
from compress.tasks.data import DataSource
from compress.tasks.models import create_model
from compress.teacher import Teacher

PLAIN = HeldOutSettings()


def photograph(seed: int, height: int = 60, width: int = 90) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def class_folders(root: Path, *names: str) -> Path:
    for index, name in enumerate(names):
        (root / name).mkdir(parents=True)
        photograph(index).save(root / name / "a.png")
    return root


def weights_of(classes: int, folder: Path, name: str = "test_resnet") -> Path:
    torch.manual_seed(0)
    torch.save(create_model("classification", name, classes).network.state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


def opened(teacher: Teacher, root: Path, settings: HeldOutSettings = PLAIN, size: int | None = None) -> DataSource:
    place = {"data": "image-folder", "data_root": root, "image_size": size}
    return open_for(teacher, settings.model_copy(update=place), "classification")
