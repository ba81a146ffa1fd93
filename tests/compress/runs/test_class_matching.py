"""Folders of data are matched with the teacher's classes by name, and data of fewer classes is scored over those."""

import json
from pathlib import Path

import pytest
from class_folders import PLAIN, class_folders, opened, weights_of
from safetensors.torch import save_file

from compress.data_settings import HeldOutSettings
from compress.errors import UsageError
from compress.runs.evaluate import evaluate_model
from compress.runs.reading import open_for, require_classes, teacher_at, teacher_of
from compress.tasks.data import DataSource
from compress.tasks.data.class_names import imagenet_names, read_class_names
from compress.tasks.models import create_model
from compress.tasks.models.timm_preprocessing import configured
from compress.teacher import Teacher
from compress.training.compute import CPU_FLOAT32


def test_classes_known_from_the_teacher_are_matched_by_name(tmp_path: Path) -> None:
    root = class_folders(tmp_path, *map(str, range(1, 13)))
    natural = tuple(map(str, range(1, 13)))
    teacher = Teacher(name="x", origin="x.pth", classes=12, class_names=natural)
    source = opened(teacher, root)
    assert source.class_names == natural
    assert source.held_out().targets.tolist() == [0, 9, 10, 11, *range(1, 9)]  # read as 1, 10, 11, 12, 2, ...
    assert source.notes == ()
    assert source.present is None


def test_class_names_of_a_file_number_the_classes(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", "cat", "dog")
    (tmp_path / "names.txt").write_text("dog\ncat\n")
    settings = HeldOutSettings(class_names=str(tmp_path / "names.txt"))
    teacher = teacher_of("classification", "test_resnet", weights_of(2, tmp_path), settings)
    assert opened(teacher, root, settings).held_out().targets.tolist() == [1, 0]
    (tmp_path / "names.txt").write_text("dog\ncat\nemu\n")
    with pytest.raises(UsageError, match=r"3 names and .* has 2 classes"):
        teacher_of("classification", "test_resnet", weights_of(2, tmp_path), settings)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n.txt", "tench\ngoldfish\n\n"),
        ("n.json", '["tench", "goldfish"]'),
        ("n.json", '{"0": "tench", "1": "goldfish"}'),
        ("n.json", '{"tench": 0, "goldfish": 1}'),
        ("n.json", '{"0": ["tench", "x"], "1": ["goldfish", "y"]}'),
        ("n.json", '{"names": ["tench", "goldfish"]}'),
        ("n.json", '[{"id": 0, "name": "tench"}, {"id": 1, "name": "goldfish"}]'),
        ("n.txt", "\ufefftench\r\n\r\ngoldfish\r\n"),
    ],
)
def test_class_names_are_read_in_every_usual_form(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert read_class_names(tmp_path / name) == ("tench", "goldfish")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("n.txt", "a\na\n", "'a' twice"),
        ("n.txt", "a\n", "fewer than two"),
        ("n.json", '{"0": "a", "2": "b"}', "none of index"),
        ("n.json", "3", "no list of names"),
        ("n.json", '[{"id": 0}, {"id": 1}]', "is no name"),
        ("n.json", "{", "cannot read class names"),
        ("n.txt", "a\x1b[2J\nb\n", "printed"),
    ],
)
def test_class_names_that_make_no_sense_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        read_class_names(tmp_path / name)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["cat", "dog"], ("cat", "dog")),
        ([1, 2], ("1", "2")),
        ({"0": "cat", "1": "dog"}, ("cat", "dog")),
        ({"dog": 1, "cat": 0}, ("cat", "dog")),
        ({"n1": "cat", "n2": "dog"}, None),
        (["cat", "cat"], None),
    ],
)
def test_label_names_of_a_configuration_may_be_a_table_and_tell_every_class_apart(
    labels: object, names: tuple[str, ...] | None
) -> None:
    assert configured(Teacher(name="x", origin="x"), {"num_classes": 2, "label_names": labels}).class_names == names


def test_a_list_of_the_models_own_that_is_too_short_is_called_that(tmp_path: Path) -> None:
    save_file(create_model("classification", "test_resnet", 3).network.state_dict(), tmp_path / "model.safetensors")
    config = {"architecture": "test_resnet", "num_classes": 3, "label_names": ["cat", "dog"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=r"its own list has 2 names and .* has 3 classes"):
        teacher_at(tmp_path, None, HeldOutSettings())


def test_names_that_the_teacher_does_not_have_are_refused_with_the_nearest(tmp_path: Path) -> None:
    teacher = Teacher(name="x", origin="x.pth", classes=3, class_names=("tabby cat", "beagle", "pug"))
    with pytest.raises(UsageError, match=r"x\.pth does not have.*'beegle'.*beagle"):
        opened(teacher, class_folders(tmp_path, "beegle", "pug"))


@pytest.mark.parametrize("folders", [("Tabby_Cat", "pug"), ("tabby-cat", "PUG")])
def test_case_and_hyphens_do_not_tell_classes_apart(tmp_path: Path, folders: tuple[str, str]) -> None:
    teacher = Teacher(name="x", origin="x.pth", classes=3, class_names=("tabby cat", "beagle", "pug"))
    assert sorted(opened(teacher, class_folders(tmp_path, *folders)).held_out().targets.tolist()) == [0, 2]


IMAGENETTE = ("n01440764", "n02102040", "n02979186")


@pytest.mark.parametrize("folders", [IMAGENETTE, ("tench", "English_springer", "cassette player")])
def test_data_of_fewer_classes_is_scored_over_those_by_wordnet_ids_or_words(
    folders: tuple[str, ...], tmp_path: Path
) -> None:
    if folders is IMAGENETTE:
        teacher = teacher_of("classification", "test_resnet", weights_of(1000, tmp_path), PLAIN)
        assert (teacher.classes, teacher.class_names) == (1000, None)
    else:
        teacher = Teacher(name="x", origin="x", classes=1000, class_names=imagenet_names(1000))
    source = opened(teacher, class_folders(tmp_path / "data", *folders))
    indices = [imagenet_names(1000).index(name) for name in IMAGENETTE]
    assert sorted(source.held_out().targets.tolist()) == sorted(indices) == list(source.present or ())
    assert source.notes == ("scored over the 3 of 1000 classes that image-folder has",)


def test_only_classes_that_the_data_has_are_guesses(tmp_path: Path) -> None:
    root, weights = class_folders(tmp_path / "data", *IMAGENETTE), weights_of(1000, tmp_path)
    held_out = HeldOutSettings(data="image-folder", data_root=root)
    scored = evaluate_model(weights, CPU_FLOAT32, teacher="test_resnet", held_out=held_out).score
    assert scored.numbers["top5"] == 1.0, "there are three classes to guess"
    assert set(scored.by_class["accuracy"]) == set(IMAGENETTE)


def test_classes_that_nothing_tells_apart_are_asked_for(tmp_path: Path) -> None:
    teacher = teacher_of("classification", "test_resnet", weights_of(7, tmp_path), PLAIN)
    assert teacher.classes == 7
    with pytest.raises(UsageError, match=r"has 7 classes and image-folder 2: .*`class_names`"):
        opened(teacher, class_folders(tmp_path / "data", "cat", "dog"))


def test_a_published_data_set_keeps_its_numbers_whatever_a_stored_model_calls_them(digits: DataSource) -> None:
    labels = tuple(f"LABEL_{index}" for index in range(10))
    stored = Teacher(name="local-dir:x", origin="x", classes=10, class_names=labels)
    assert open_for(stored, HeldOutSettings(data="digits"), "classification") is digits
    with pytest.raises(UsageError, match="does not have"):
        require_classes(digits, labels, "model.safetensors")


@pytest.fixture
def digits() -> DataSource:
    return open_for(Teacher(name="x", origin="x"), HeldOutSettings(data="digits"), "classification")
