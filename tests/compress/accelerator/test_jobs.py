"""Jobs and whole commands on an accelerator: teaching, scores, pictures, going back, collected images, predictions."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pretend_accelerator
import pytest
import torch
from PIL import Image
from small_distillers import EXACT, close, make
from torch import nn

from compress.api import distill
from compress.errors import Interrupted
from compress.runs.evaluation import evaluate
from compress.runs.rounds import lead
from compress.settings import DistillSettings
from compress.storage.run_directory import RunDirectory, write_state
from compress.task import Batch
from compress.tasks import held_out_of
from compress.tasks.data import DataSource, LabelledImages, open_data
from compress.tasks.teaching import TeachingPlan, Training
from compress.testing import FakeTask
from compress.training.compute import Compute

CPU = torch.device("cpu")
BOTH_TASKS = [pytest.param(False, id="classification"), pytest.param(True, id="segmentation")]
Run = Callable[..., int]


class Narrow(nn.Module):
    """Has memory for `most` images."""

    def __init__(self, network: nn.Module, most: int) -> None:
        super().__init__()
        self.network, self.most, self.shown = network, most, list[int]()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.shown.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError
        return self.network(images)


@pytest.mark.parametrize("positions", BOTH_TASKS)
def test_scores_there_are_those_of_the_processor_with_as_many_images_at_once_as_memory_allows(
    device, positions: bool
) -> None:
    task = FakeTask(positions=positions)
    here, there = task.teacher(), Narrow(task.teacher(), 5)
    Compute(device, torch.float32).place(there)
    scores = [
        evaluate(network, task, Compute(place, torch.float32).exact)
        for network, place in ((here, CPU), (there, device))
    ]
    assert scores[0].headline == scores[1].headline
    assert scores[0].count == scores[1].count == 16
    assert there.shown == [16, 8, 4, 4, 4, 4], "both batches of eight at once, then halves of what did not fit"
    with pytest.raises(torch.OutOfMemoryError):
        evaluate(Narrow(there.network, 0), task, Compute(device, torch.float32))


def training(place: torch.device, *, positions: bool) -> Training:
    """Of a tiny network on eight images, with crops, class weights and the focal loss where there are label maps."""
    torch.manual_seed(0)
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (8, 3, 16, 16), generator=noise).to(torch.uint8)
    targets = torch.randint(4, (8, 16, 16) if positions else (8,), generator=noise)
    data = LabelledImages(pixels, targets)
    task = "segmentation" if positions else "classification"
    source = DataSource(
        name="made up",
        task=task,
        class_names=tuple("abcd"),
        image_shape=(3, 16, 16),
        training=lambda: data,
        held_out=lambda: data,
    )
    plan = TeachingPlan(steps=6, batch=4, learning_rate=1e-2, weight_decay=1e-4, shift=2)
    if positions:
        plan = replace(plan, zoom=2.0, class_weights=True, loss="focal", optimizer="sgd")
    return Training(FakeTask(positions=positions).student(), data, source, plan, Compute(place, torch.float32), 0)


@pytest.mark.parametrize("positions", BOTH_TASKS)
def test_a_training_there_gives_what_the_processor_gives_and_can_be_resumed(
    device, positions: bool, tmp_path: Path
) -> None:
    here, there, resumed = (training(place, positions=positions) for place in (CPU, device, device))

    def stop(done: int, loss: float) -> None:
        if done == 3:
            raise Interrupted("")

    with pytest.raises(Interrupted):
        there.run(stop)
    write_state(tmp_path / "half.pt", there.state_dict())
    resumed.load_state_dict(torch.load(tmp_path / "half.pt", weights_only=True, map_location=CPU))
    for each in (here, there, resumed):
        each.run(lambda done, loss: None)
        assert close(here.model.state_dict(), each.model.state_dict())
    assert {value.device.type for value in resumed.model.state_dict().values()} == {device.type}


@pytest.fixture
def recorded(tmp_path: Path) -> RunDirectory:
    """A folder for a run."""
    return RunDirectory.create(tmp_path / "run")


def test_a_run_there_that_diverges_goes_back_to_its_checkpoint_and_draws_its_samples(
    device, recorded: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    distiller = make(device, positions=True)
    step, calls = distiller.student_step._loss, list[int]()

    class Faulty:
        """No step of the third round is finite, once."""

        name = step.name

        def __call__(self, *networks_and_images):
            calls.append(len(calls))
            divergence, *logits = step(*networks_and_images)
            return divergence * (float("nan") if 2 < len(calls) <= 4 else 1.0), *logits

    monkeypatch.setattr("compress.training.finite_steps.IN_A_ROW", 2)
    distiller.student_step._loss = Faulty()
    lead(distiller, recorded, {"history": []}, picture=distiller.task.picture)
    assert distiller.learning_rate_scale == 0.5
    assert "half the learning rates" in (recorded.path / "train.log").read_text()
    assert all(value.isfinite().all() for value in distiller.student.state_dict().values())
    assert {value.device.type for value in distiller.student.state_dict().values()} == {device.type}
    assert len(list((recorded.path / "samples").glob("*.png"))) >= 2
    assert distiller.next_round == 3
    assert calls


def test_pictures_of_both_tasks_show_what_lies_there(device) -> None:
    for name in ("classification", "segmentation"):
        held_out = held_out_of(open_data(None, name))
        batch = next(iter(held_out.batches()))
        images, targets = batch.images[:2], batch.targets[:2]
        logits = torch.rand(2, len(held_out.spec.class_names), *targets.shape[1:])
        here = held_out.picture(Batch(images, targets), logits, logits)
        there = held_out.picture(Batch(images.to(device), targets.to(device)), logits.to(device), logits.to(device))
        assert torch.equal(here, there)


@pytest.fixture
def on_device(device) -> Iterator[torch.device]:
    """Jobs and commands take the device, as `--device auto` takes a card."""
    if not EXACT:
        yield device
        return
    with pretend_accelerator.chosen():
        yield device


SETTINGS = {
    "precision": "fp32",
    "inversion": {"samples": 8, "steps": 1, "latent": 16, "width": 8},
    "distillation": {"rounds": 2, "warmup": 1, "steps": 2, "batch": 4, "lr": 0.01},
}


def test_a_whole_distillation_there_hands_over_a_verified_file(on_device, tmp_path: Path) -> None:
    task = FakeTask(positions=True)
    done = distill(
        task.teacher(),
        task.student(),
        class_names=tuple("abcd"),
        image_shape=(3, 16, 16),
        settings=DistillSettings.model_validate({**SETTINGS, "task": "segmentation"}),
        out=tmp_path / "run",
        accept_any_student=True,
    )
    assert all(check["passed"] for check in done.report["parity"])
    assert {value.device.type for value in done.student.state_dict().values()} == {"cpu"}


def test_commands_there_teach_score_and_predict(on_device, run: Run, tmp_path: Path, capsys) -> None:
    words = ["--task", "segmentation", "--teacher", "fpn:tu-test_resnet", "--precision", "fp32"]
    data = ["--data", "mask-folder", "--data-root", photographs(tmp_path / "photographs")]
    taught = tmp_path / "taught"
    small = ["--no-pretrained", "--crop-size", 32, "--steps", 2, "--batch", 2, "--out", taught]
    assert run("teach", *words, *data, *small) == 0
    said = json.loads((taught / "report.json").read_text())
    capsys.readouterr()
    assert run("evaluate", taught, *data, "--json") == 0
    assert json.loads(capsys.readouterr().out)["miou"] == pytest.approx(said["miou"], abs=0.005)
    assert (
        run("predict", taught, tmp_path / "photographs" / "val" / "images" / "0.png", "--out", tmp_path / "seen") == 0
    )
    assert list((tmp_path / "seen").rglob("*.png"))


def photographs(root: Path) -> Path:
    """Three photographs with masks, of which one is held out."""
    for split, count in (("train", 2), ("val", 1)):
        for index in range(count):
            pixels = np.random.default_rng(index).integers(0, 256, (40, 50, 3), np.uint8)
            for kind, array in (("images", pixels), ("masks", (pixels[..., 0] > 128).astype(np.uint8))):
                file = root / split / kind / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(file)
    (root / "classes.txt").write_text("dark\nlight\n")
    return root
