"""`compress distill` with a trained teacher and no data: what it finds out, what it chooses, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
import yaml

from compress.errors import UsageError
from compress.runs.resolution import resolve
from compress.runs.teacher_only import describe
from compress.settings import DistillSettings
from compress.tasks.models import create_model

Run = Callable[..., int]
ANIMALS = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"]


def save(
    file: Path, network: str = "cifar_resnet20", classes: int = 10, task: str = "classification", **beside: object
) -> Path:
    """A checkpoint of a network with random weights, which nobody has a data set for."""
    torch.manual_seed(0)
    torch.save({"state_dict": create_model(task, network, classes).network.state_dict(), **beside}, file)
    return file


def teacher(file: Path, **settings: object) -> DistillSettings:
    return DistillSettings.model_validate({"teacher": "cifar_resnet20", "teacher_weights": file, **settings})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("teacher") / "mine.pt")


def test_a_checkpoint_becomes_a_verified_student_without_one_image(
    run: Run, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["distill", "--teacher", "cifar_resnet20", "--teacher-weights", checkpoint, "--image-size", 16]
    words += ["--minutes", 0.01, "--inversion.width", 8, "--inversion.samples", 64, "--distillation.batch", 8]
    words += ["--precision", "fp32", "--accept-any-student"]
    assert run(*words, "--out", tmp_path / "run") == 0
    said = capsys.readouterr().err
    for line, flag in (
        ("teacher", "--class-names"),
        ("images", "--std"),
        ("student", "--student"),
        ("recipe", "--minutes"),
    ):
        assert any(each.startswith(f"{line}: ") and flag in each for each in said.splitlines()), said
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["data"] is None
    assert report["student"]["parameters"] < report["teacher"]["parameters"]
    assert "new synthetic samples" in report["scored_on"]
    assert "no accuracy" in report["scored_on"]
    assert int(report["scored_on"].split()[0]) >= 128
    assert all(check["passed"] for check in report["parity"])
    settings = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert settings["data"] is None
    assert settings["distillation"]["rounds"] >= 2
    assert run("evaluate", tmp_path / "run") == 2
    assert "without data: name images" in capsys.readouterr().err
    flags = {"teacher": "cifar_resnet20", "teacher_weights": checkpoint, "image_size": 16, "minutes": 0.01}
    again = resolve(flags, None, resume=True, out=tmp_path / "run")
    assert again.distillation.rounds == settings["distillation"]["rounds"], "as was measured when the run began"
    assert again.student == settings["student"]


@pytest.mark.parametrize(
    ("beside", "names", "whence"),
    [
        ({}, [f"class {index}" for index in range(10)], "no names are known"),
        ({"class_names": ANIMALS}, ANIMALS, "the names in its file"),
        ({"meta": {"dataset_meta": {"classes": tuple(ANIMALS)}}}, ANIMALS, "the names in its file"),
        ({"idx_to_class": dict(enumerate(ANIMALS))}, ANIMALS, "the names in its file"),
        ({"hyper_parameters": {"class_to_idx": {name: i for i, name in enumerate(ANIMALS)}}}, ANIMALS, "the names in"),
        ({"class_names": ANIMALS[:4]}, [f"class {index}" for index in range(10)], "no names are known"),
    ],
    ids=["none", "list", "mmengine", "by index", "by name", "of another head"],
)
def test_names_of_classes_are_looked_for_beside_the_weights(
    beside: dict[str, object], names: list[str], whence: str, tmp_path: Path
) -> None:
    facts = describe(teacher(save(tmp_path / "mine.pt", **beside)))
    assert list(facts.source.class_names) == names
    assert whence in facts.classes


def test_the_settings_come_before_what_the_teacher_says(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\n".join(ANIMALS))
    facts = describe(teacher(checkpoint, class_names=str(tmp_path / "names.txt"), image_size=48, mean=(0.1, 0.2, 0.3)))
    assert list(facts.source.class_names) == ANIMALS
    assert facts.source.image_shape == (3, 48, 48)
    assert facts.teacher.mean == (0.1, 0.2, 0.3)
    assert describe(teacher(checkpoint)).source.image_shape == (3, 32, 32)


def test_a_head_of_imagenet_has_its_names_and_timms_preparation(tmp_path: Path) -> None:
    file = save(tmp_path / "photographs.pt", "test_resnet", 1000)
    facts = describe(teacher(file, teacher="test_resnet"))
    assert facts.source.class_names[0] == "n01440764"
    assert len(facts.source.class_names) == 1000
    assert facts.source.image_shape == (3, 160, 160)
    assert facts.source.framing.crop_pct == 0.95


def test_a_segmenter_needs_a_size_and_takes_a_public_list_of_names(tmp_path: Path) -> None:
    file = save(tmp_path / "roads.pt", "unet:tu-test_resnet", 19, "segmentation")
    named = {"task": "segmentation", "teacher": "unet:tu-test_resnet"}
    with pytest.raises(UsageError, match="give it with `image_size`"):
        describe(teacher(file, **named))
    facts = describe(teacher(file, **named, image_size=64, class_names="cityscapes"))
    assert facts.source.class_names[:2] == ("road", "sidewalk")
    assert len(facts.source.palette) == 19
    assert facts.source.image_shape == (3, 64, 64)


def test_the_embedded_data_is_for_teachers_without_weights_and_those_of_its_own(
    checkpoint: Path, classifier_weights: Path
) -> None:
    named = {"teacher": "cifar_resnet20"}
    assert resolve(named, None).data == "digits"
    assert resolve({**named, "teacher_weights": classifier_weights}, None).data == "digits", "its card says so"
    assert resolve({**named, "teacher_weights": checkpoint}, None).data is None


def refused(folder: Path, checkpoint: Path) -> dict[str, tuple[Sequence[object], str]]:
    (folder / "nine.txt").write_text("\n".join(ANIMALS[:9]))
    (folder / "twice.txt").write_text("\n".join([*ANIMALS[:9], "ant"]))
    names, alone = folder / "nine.txt", ["--teacher-weights", checkpoint]
    cifar = ["--teacher", "cifar_resnet20", *alone]
    mask = save(folder / "masks.pt", "unet:tu-test_resnet", 3, "segmentation")
    one = save(folder / "one.pt", classes=1)
    return {
        "names of other classes": ([*cifar, "--class-names", names], "has 9 names"),
        "a name twice": ([*cifar, "--class-names", folder / "twice.txt"], "names 'ant' twice"),
        "no network": (alone, "name it with --teacher"),
        "another network": (["--teacher", "resnet18", *alone], "does not fit resnet18"),
        "no classifier": (["--teacher", "cifar_resnet20", "--teacher-weights", mask], "a last layer for classes"),
        "one output": (["--teacher", "cifar_resnet20", "--teacher-weights", one], "in Python, `compress.tasks"),
        "no size": (
            ["--task", "segmentation", "--teacher", "unet:tu-test_resnet", "--teacher-weights", mask],
            "give it with --image-size",
        ),
        "a student that cannot": ([*cifar, "--student", "test_vit", "--image-size", 8], "test_vit"),
        "a crop of nothing": ([*cifar, "--crop-size", 8], "leave it out, or name --data"),
        "two lengths": ([*cifar, "--minutes", 5, "--distillation.rounds", 9], "pass one of them"),
        "two students": ([*cifar, "--student", "vgg11", "--max-mb", 5], "pass one of them"),
        "a limit that nothing keeps": ([*cifar, "--max-params", 0.001], "the nearest is cifar_wrn_16_1"),
        "weights of another student": ([*cifar, "--student-weights", mask], "does not fit the network"),
        "missing weights": (["--teacher", "cifar_resnet20", "--teacher-weights", "no.pt"], "no weights file no.pt"),
    }


@pytest.mark.parametrize("case", [
    "names of other classes", "a name twice", "no network", "another network", "no classifier", "one output", "no size",
    "a student that cannot", "a crop of nothing", "two lengths", "two students", "a limit that nothing keeps",
    "weights of another student", "missing weights",
])  # fmt: skip
def test_bad_input_ends_in_one_line_before_anything_is_written(
    run: Run, case: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, complaint = refused(tmp_path, checkpoint)[case]
    assert run("distill", *words, "--out", tmp_path / "run") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("compress:")]
    assert len(errors) == 1
    assert complaint in errors[0]
    assert not (tmp_path / "run").exists()
