"""A binary segmenter from its SMP weights to a verified ONNX file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from mask_files import save
from reduced_export import reduce_exports

from compress.export import OnnxModel, OnnxScores
from compress.tasks.models.model_folder import load_model

Run = Callable[..., int]
ENCODER, SIDE, COUNT = "tu-test_resnet", 32, 4
SMALL = ["--inversion.samples", 8, "--inversion.steps", 1, "--inversion.width", 8, "--distillation.rounds", 2]
SMALL += ["--distillation.warmup", 1, "--distillation.steps", 2, "--distillation.batch", 8, "--precision", "fp32"]


def scenes() -> tuple[np.ndarray, np.ndarray]:
    """Dark noise with a bright rectangle: uint8 `[n, h, w, 3]`, and where it is, 0 or 1 `[n, h, w]`."""
    noise, masks = np.random.default_rng(0), np.zeros((COUNT, SIDE, SIDE), np.uint8)
    for mask in masks:
        top, left = noise.integers(0, SIDE // 2, 2)
        mask[top : top + SIDE // 2, left : left + SIDE // 2] = 1
    return (noise.integers(0, 90, (*masks.shape, 3)) + 150 * masks[..., None]).astype(np.uint8), masks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Scenes with 0/255 masks, and the state dictionary of a network with `classes=1` that tells them apart."""
    images, masks = scenes()
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        save(tmp_path / "images" / f"{number}.png", image)
        save(tmp_path / "masks" / f"{number}.png", 255 * mask)
    (tmp_path / "classes.txt").write_text("ground\nroof\n")
    torch.manual_seed(0)
    network = smp.create_model("linknet", encoder_name=ENCODER, encoder_weights=None, classes=1)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    inputs = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.45) / 0.225
    for _ in range(15):
        loss = F.binary_cross_entropy_with_logits(network(inputs)[:, 0], torch.from_numpy(masks).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    return tmp_path


def test_a_binary_segmenter_is_distilled_to_a_file_that_decides_as_it_does(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduce_exports(monkeypatch)
    teacher = ["--teacher", f"linknet:{ENCODER}", "--teacher-weights", folder / "weights.pth", "--threshold", 0.4]
    data = ["--data", "mask-folder", "--data-root", folder, "--mask-values", "0,255"]
    student = ["--student", f"linknet:{ENCODER}", "--distillation.inherit", "--accept-any-student"]
    out = folder / "run"
    assert run("distill", "--task", "segmentation", *teacher, *data, *student, *SMALL, "--out", out) == 0
    report = json.loads((out / "report.json").read_text())
    assert all(check["passed"] for check in report["parity"])
    assert report["teacher"]["miou"] > 0.8
    assert {"ground", "roof"} == report["student"]["iou"].keys()
    model, card = load_model(out)
    assert (card.threshold, card.class_names) == (0.4, ("ground", "roof"))
    images = torch.from_numpy(scenes()[0]).permute(0, 3, 1, 2) / 255
    by_file = OnnxScores(OnnxModel(out / "export" / "model.onnx"))(images).argmax(dim=1)
    assert (by_file == model(images).argmax(dim=1)).float().mean() > 0.999
    assert smp.from_pretrained(out / "student").segmentation_head[0].out_channels == 1
