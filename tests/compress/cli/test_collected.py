"""`compress distill --collected`, as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from few_scenes import score_on_few_scenes
from reduced_export import reduce_exports
from safetensors.torch import load_file
from torchvision.io import encode_png

from compress.tasks.data import open_data

Run = Callable[..., int]

SOURCE = open_data("digits", "classification")
WORDS = ["--teacher", "cifar_resnet20", "--student", "cifar_wrn_16_1", "--precision", "fp32"]
SMALL = ["--distillation.rounds", 4, "--distillation.steps", 3, "--distillation.batch", 8, "--accept-any-student"]
GAN = ["--distillation.warmup", 2, "--gan.iterations", 2, "--gan.batch", 10, "--gan.width", 8, "--gan.samples", 20]


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    """Four digits of each class."""
    split = SOURCE.training()
    for label, name in enumerate(SOURCE.class_names):
        (tmp_path / "collected" / name).mkdir(parents=True)
        for index, image in enumerate(split.images[split.targets == label][:4]):
            (tmp_path / "collected" / name / f"{index}.png").write_bytes(bytes(encode_png(image).numpy()))
    return tmp_path / "collected"


def test_hidfd_hands_over_a_student_with_its_teachers_classifier(
    run: Run,
    classifier_weights: Path,
    collected: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reduce_exports(monkeypatch)
    monkeypatch.chdir(tmp_path)
    settings = [*WORDS, "--teacher-weights", classifier_weights, *SMALL, *GAN]
    assert run("distill", "--method", "hidfd", *settings, "--collected", collected, "--out", "run") == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert all(check["passed"] for check in report["parity"])
    capsys.readouterr()
    assert run("evaluate", "run", "--json") == 0
    score = json.loads(capsys.readouterr().out)
    assert score["top1"] == pytest.approx(report["student"]["top1"], abs=0.005)
    card = (tmp_path / "run" / "student" / "README.md").read_text()
    assert "with collected real images" in card
    assert "the classifier of cifar_resnet20" in card


def spoilt(folder: Path, collected: Path) -> dict[str, tuple[list[object], str]]:
    hidfd, kd = ["distill", "--method", "hidfd"], ["distill", "--method", "kd"]
    flags = ["--collected", collected]
    for name in ("unknown", "broken"):
        for source in collected.rglob("*.png"):
            target = folder / name / source.relative_to(collected)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    (folder / "unknown" / "cat").mkdir()
    (folder / "broken" / "3" / "0.png").write_bytes(b"no image")
    return {
        "hidfd without collected images": (hidfd, "--collected"),
        "kd without collected images": (kd, "--collected"),
        "collected images for a method that takes none": (
            ["distill", "--method", "dafl", *flags],
            "dafl takes no collected",
        ),
        "segmentation": ([*hidfd, *flags, "--task", "segmentation"], "for classification only"),
        "no folder": ([*kd, "--collected", "nowhere"], "no folder nowhere"),
        "unknown class": ([*hidfd, "--collected", "unknown"], "'cat'"),
        "broken image": ([*kd, "--collected", "broken"], "cannot read the image broken/3/0.png"),
        "too few for a batch": ([*hidfd, *flags], "40 collected images are too few for a batch of 256"),
        "settings of another method": ([*kd, *flags, "--gan.width", 8], "kd takes no gan"),
    }


@pytest.mark.parametrize("case", [
    "hidfd without collected images", "kd without collected images", "collected images for a method that takes none",
    "segmentation", "no folder", "unknown class", "broken image", "too few for a batch", "settings of another method",
])  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2_and_leaves_nothing(
    case: str, collected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from compress.cli import main

    words, expected = spoilt(tmp_path, collected)[case]
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    errors = capsys.readouterr().err
    assert stopped.value.code == 2, errors
    assert expected in errors
    assert len(errors.strip().splitlines()) == 1, errors
    assert sorted(tmp_path.rglob("*")) == before


def test_the_collected_images_are_the_only_real_ones_that_kd_sees(
    classifier_weights: Path, collected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduce_exports(monkeypatch)
    from dataclasses import replace

    from compress.cli.distill import distill
    from compress.settings import DistillSettings
    from compress.tasks import data

    def forbidden() -> data.LabelledImages:
        raise AssertionError("the training split was opened")

    watched = replace(SOURCE, training=forbidden)
    monkeypatch.setitem(data.SOURCES, "digits", replace(data.SOURCES["digits"], open=lambda place: watched))
    settings = DistillSettings.model_validate(
        {
            "method": "kd",
            "teacher": "cifar_resnet20",
            "student": "cifar_wrn_16_1",
            "teacher_weights": classifier_weights,
            "collected": collected,
            "distillation": {"rounds": 1, "warmup": 0, "steps": 1, "batch": 4},
        }
    )
    distill(settings=settings, out=tmp_path / "run", accept_any_student=True)
    assert (tmp_path / "run" / "report.json").is_file()
    card = (tmp_path / "run" / "student" / "README.md").read_text()
    assert "with collected real images" in card
    assert "the classifier of" not in card


def test_a_classifier_and_nothing_else_is_distilled_on_photographs_without_classes(
    run: Run, classifier_weights: Path, collected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduce_exports(monkeypatch)
    tensors = load_file(classifier_weights)
    torch.save(tensors, tmp_path / "plain.pt")  # without the card that names the digits
    (tmp_path / "flat").mkdir()
    for index, file in enumerate(sorted(collected.rglob("*.png"))):
        file.rename(tmp_path / "flat" / f"{index}.png")
    words = [*WORDS, "--teacher-weights", tmp_path / "plain.pt", *SMALL, "--distillation.warmup", 0]
    assert run("distill", "--method", "kd", *words, "--collected", tmp_path / "flat", "--out", tmp_path / "run") == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["scored_on"].startswith("4 collected photographs that the student has not learnt from")
    assert report["data"] is None


def test_a_segmenter_is_distilled_on_photographs_without_labels(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reduce_exports(monkeypatch)
    score_on_few_scenes(monkeypatch)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photographs"
    folder.mkdir()
    scenes = open_data("digit-scenes", "segmentation").held_out().images
    for index, image in enumerate(scenes[:6]):
        wide = torch.nn.functional.pad(image, (20, 20))  # the window in the middle is the scene again
        (folder / f"{index}.png").write_bytes(bytes(encode_png(wide).numpy()))
    words = ["distill", "--task", "segmentation", "--method", "kd", "--collected", folder]
    words += [
        "--teacher",
        "deeplabv3",
        "--student",
        "linknet:tu-test_resnet",
        "--precision",
        "fp32",
        "--distillation.rounds",
        2,
    ]
    words += ["--distillation.warmup", 0, "--distillation.steps", 2, "--distillation.batch", 4, "--out", "run"]
    words += ["--accept-any-student"]
    assert run(*words) == 0
    assert json.loads((tmp_path / "run" / "report.json").read_text())["student"]["miou"] > 0
    assert "with collected real images" in (tmp_path / "run" / "student" / "README.md").read_text()
    (folder / "0.png").write_bytes(b"no image")
    capsys.readouterr()
    assert run(*words, "--overwrite") == 2
    assert "cannot read the image" in capsys.readouterr().err
