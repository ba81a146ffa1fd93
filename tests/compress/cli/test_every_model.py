"""Every command takes every model: the table of `docs/models.md`, a test a cell. All hold the same two networks."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mask_files import folder
from PIL import Image
from reduced_export import reduce_exports
from safetensors.torch import load_file, save_file
from torch import nn

from compress.data_settings import ModelSettings
from compress.errors import UsageError
from compress.export import OnnxModel, export_verified
from compress.runs.first_inference import peak_of_first_inference
from compress.runs.opening import open_model
from compress.storage.run_directory import RunDirectory
from compress.tasks.data.class_names import imagenet_names
from compress.tasks.models import create_model
from compress.tasks.models.model_folder import Card, save_model

Run = Callable[..., int]
Complaint = Callable[[Callable[[], object]], str]
CLASSES, SIDE = ("cat", "dog", "emu"), 32
NETWORKS = {"classification": "test_resnet", "segmentation": "fpn:tu-test_resnet"}
NAMES = {"classification": CLASSES, "segmentation": ("background", "road")}
PREPARED = ["--image-size", SIDE, "--crop-pct", 1, "--crop-mode", "center", "--interpolation", "bilinear"]


@pytest.fixture(scope="module")
def reduced_work() -> Iterator[None]:
    """Less work in exports."""
    with pytest.MonkeyPatch.context() as patch:
        reduce_exports(patch)
        yield


@pytest.fixture(scope="module")
def shelf(reduced_work: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both networks in every form, data to score them on, and a photograph."""
    root = tmp_path_factory.mktemp("shelf")
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


KINDS: dict[str, tuple[str, bool]] = {
    "run": ("run", False),
    "student folder": ("student", False),
    "file of compress": ("student/model.safetensors", False),
    "timm or SMP folder": ("library", False),
    "folder in shards": ("shards", False),
    "checkpoint": ("weights.pth", True),
    "ONNX file": ("model.onnx", False),
}
"""By name, where it lies below the folder of its task, and whether it has to be told what network it is."""
TASKS = [*NETWORKS]
UNSIZED = {"timm or SMP folder", "folder in shards", "checkpoint"}
"""Kinds of segmenters that say neither the size of their images nor the names of their classes."""


def words_of(shelf: Path, task: str, kind: str, *, scored: bool = False) -> list[object]:
    place, told = KINDS[kind]
    words: list[object] = [shelf / task / place]
    if told:
        words += ["--teacher", NETWORKS[task]]
        words += [*PREPARED, "--class-names", shelf / task / "names.txt"] if task == "classification" else []
    if task == "segmentation" and kind in UNSIZED:
        words += ["--image-size", SIDE, *([] if scored else ["--class-names", shelf / task / "names.txt"])]
    return words


def data_of(shelf: Path, task: str) -> list[object]:
    classifies = task == "classification"
    return [
        "--data",
        "image-folder" if classifies else "mask-folder",
        "--data-root",
        shelf / ("images" if classifies else "scenes"),
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_evaluate(task: str, kind: str, shelf: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    reports = []
    for each in (kind, "run"):
        assert run("evaluate", *words_of(shelf, task, each, scored=True), *data_of(shelf, task), "--json") == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert reports[0] == reports[1]
    assert reports[0]["task"] == task


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_predict(task: str, kind: str, shelf: Path, run: Run, tmp_path: Path) -> None:
    answers = []
    for number, each in enumerate((kind, "run")):
        out = tmp_path / str(number)
        assert run("predict", *words_of(shelf, task, each), shelf / "photograph.png", "--out", out) == 0
        answers.append(json.loads((out / "predictions.json").read_text())["predictions"][0])
    if task == "classification":
        rows = [{guess["class"]: guess["probability"] for guess in answer["guesses"]} for answer in answers]
    else:
        rows = [answer["shares"] for answer in answers]
    assert rows[0] == pytest.approx(rows[1], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_export(
    task: str, kind: str, shelf: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.onnx"
    code = run("export", *words_of(shelf, task, kind), "--out", out)
    if kind == "ONNX file":
        assert code == 2
        assert "is an ONNX file already" in capsys.readouterr().err
        return
    assert code == 0
    card = OnnxModel(out).card
    assert (card.task, card.class_names) == (task, NAMES[task])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_benchmark(
    task: str, kind: str, shelf: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress.runs.benchmark.cold_start", lambda *_: {"seconds": 0.0, "memory_mb": 0.0})
    assert run("benchmark", *words_of(shelf, task, kind), "--batch", 1, "--seconds", 0.01, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["p50_ms"] > 0
    assert row["runtime"] == ("onnxruntime" if kind == "ONNX file" else "eager")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_distil_from_it(
    task: str, kind: str, shelf: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, told = KINDS[kind]
    words: list[object] = ["--teacher", shelf / task / place]
    if told:
        words = ["--teacher", NETWORKS[task], "--teacher-weights", shelf / task / place]
    words += ["--image-size", SIDE] if task == "classification" and told else []
    student = ["--student", "cifar_wrn_16_1" if task == "classification" else "linknet:tu-test_resnet"]
    code = run(
        "distill", "--task", task, *words, *student, *data_of(shelf, task), "--dry-run", "--out", tmp_path / "run"
    )
    printed = capsys.readouterr()
    if kind == "ONNX file":
        assert code == 2
        assert "through which no gradient goes" in printed.err
    else:
        assert code == 0, printed.err


@pytest.mark.parametrize("task", TASKS)
def test_a_new_process_opens_what_had_to_be_told(task: str, shelf: Path) -> None:
    settings = ModelSettings(teacher=NETWORKS[task], image_size=SIDE).model_dump()
    assert peak_of_first_inference("eager", shelf / task / "weights.pth", "cpu", (3, SIDE, SIDE), settings) > 0


def test_timms_own_prefix_is_taken_too(shelf: Path) -> None:
    network, card = open_model(Path(f"local-dir:{shelf / 'classification' / 'library'}"))
    assert card.class_names == CLASSES
    images = torch.rand(1, 3, SIDE, SIDE)
    torch.testing.assert_close(network(images), open_model(shelf / "classification" / "run")[0](images))


def test_classes_without_names_are_imagenets_or_numbered(tmp_path: Path) -> None:
    for count, first in ((1000, imagenet_names(1000)[0]), (3, "class 0")):
        network = create_model("classification", "test_resnet", count).network
        torch.save(network.state_dict(), tmp_path / "weights.pth")
        card = open_model(tmp_path / "weights.pth", ModelSettings(teacher="test_resnet"))[1]
        assert (len(card.class_names), card.class_names[0]) == (count, first)


@torch.no_grad()
def test_a_binary_segmenter_has_two_classes_and_its_threshold(tmp_path: Path) -> None:
    network: nn.Module = create_model("segmentation", "fpn:tu-test_resnet", 1).network.eval()
    network.save_pretrained(tmp_path)
    model, card = open_model(tmp_path, ModelSettings(image_size=SIDE, threshold=0.3))
    images = torch.rand(1, 3, SIDE, SIDE)
    above = network(model.normalised(images)).sigmoid() > 0.3
    assert torch.equal(model(images).argmax(dim=1), above[:, 0].long())
    assert (card.class_names, card.threshold) == (("background", "object"), 0.3)


def empty(place: Path) -> Path:
    place.mkdir()
    return place


def written(place: Path, text: str) -> Path:
    place.parent.mkdir(exist_ok=True)
    place.write_text(text)
    return place


REFUSED: dict[str, tuple[Callable[[Path, Path], Path], dict, str]] = {
    "nothing there": (lambda shelf, new: new / "nowhere", {}, "no model at"),
    "an empty folder": (lambda shelf, new: empty(new / "a"), {}, "holds 0 files of weights"),
    "a checkpoint alone": (
        lambda shelf, new: shelf / "classification" / "weights.pth",
        {},
        "does not say what network it is for: name that with `teacher`",
    ),
    "a checkpoint of another network": (
        lambda shelf, new: shelf / "classification" / "weights.pth",
        {"teacher": "cifar_resnet20"},
        "does not fit the network",
    ),
    "a network of any size": (
        lambda shelf, new: shelf / "segmentation" / "weights.pth",
        {"teacher": "fpn:tu-test_resnet"},
        "of which size the images",
    ),
    "a folder with a flag": (
        lambda shelf, new: shelf / "classification" / "run",
        {"mean": (0.5, 0.5, 0.5)},
        "says itself how it is read: leave out `mean`",
    ),
    "too few names": (
        lambda shelf, new: shelf / "classification" / "library",
        {"class_names": "two.txt"},
        "holds 2 names",
    ),
    "a threshold for three classes": (
        lambda shelf, new: shelf / "classification" / "library",
        {"threshold": 0.3},
        "`threshold` is for binary segmenters",
    ),
    "a Git LFS pointer": (
        lambda shelf, new: written(new / "weights.pth", "version https://git-lfs.github.com/spec/v1\n"),
        {},
        "git lfs pull",
    ),
    "transformers": (
        lambda shelf, new: (
            written(new / "t" / "config.json", '{"architectures": ["ViTForImageClassification"]}').parent
        ),
        {},
        "of the transformers library, 'ViTForImageClassification'",
    ),
    "a config of nobody": (
        lambda shelf, new: written(new / "t" / "config.json", '{"a": 1}').parent,
        {},
        "names no network",
    ),
    "a broken config": (lambda shelf, new: written(new / "t" / "config.json", "{").parent, {}, "cannot read"),
    "an unknown architecture": (
        lambda shelf, new: written(new / "t" / "config.json", '{"architecture": "resnet1"}').parent,
        {},
        "timm has no architecture 'resnet1'",
    ),
    "an architecture that is fetched": (
        lambda shelf, new: written(new / "t" / "config.json", '{"architecture": "hf-hub:a/b"}').parent,
        {},
        "timm has no architecture",
    ),
    "a file that timm would load": (
        lambda shelf, new: (
            written(
                new / "t" / "config.json",
                '{"architecture": "test_resnet", "num_classes": 3, "model_args": {"checkpoint_path": "/etc/passwd"}}',
            ).parent
        ),
        {},
        "checkpoint_path",
    ),
    "several sigmoids": (
        lambda shelf, new: (
            written(
                new / "t" / "config.json",
                '{"architecture": "test_resnet", "num_classes": 3, "problem_type": "multi_label_classification"}',
            ).parent
        ),
        {},
        "multi-label",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_opened_is_refused_with_the_reason(
    case: str, shelf: Path, tmp_path: Path, complaint: Complaint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.txt").write_text("a\nb\n")
    build, settings, words = REFUSED[case]
    place = build(shelf, tmp_path)
    assert words in complaint(lambda: open_model(place, ModelSettings(**settings)))


def test_a_network_far_larger_than_its_weights_is_not_built(tmp_path: Path, bounded_memory: None) -> None:
    (tmp_path / "config.json").write_text('{"architecture": "vit_giant_patch14_224", "num_classes": 3}')
    save_file({"head.weight": torch.ones(3, 4)}, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match=r"its network takes \d+ MB, its weights have 0 MB"):
        open_model(tmp_path)
