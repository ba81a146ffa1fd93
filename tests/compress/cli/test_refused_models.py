"""What is no model that a command can open, and the reason that it is told."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from compress.data_settings import ModelSettings
from compress.errors import UsageError
from compress.runs.opening import open_model

Complaint = Callable[[Callable[[], object]], str]


def empty(place: Path) -> Path:
    place.mkdir()
    return place


def written(place: Path, text: str) -> Path:
    place.parent.mkdir(exist_ok=True)
    place.write_text(text)
    return place


REFUSED: dict[str, tuple[Callable[[Path, Path], Path], dict, str]] = {
    "nothing there": (lambda shelf, new: new / "nowhere", {}, "no model at"),
    "an empty folder": (lambda shelf, new: empty(new / "a"), {}, "has 0 files of weights"),
    "a checkpoint alone": (
        lambda shelf, new: shelf / "classification" / "weights.pth",
        {},
        "does not name its network: name it with `teacher`",
    ),
    "a checkpoint of another network": (
        lambda shelf, new: shelf / "classification" / "weights.pth",
        {"teacher": "cifar_resnet20"},
        "does not fit the network",
    ),
    "a network of any size": (
        lambda shelf, new: shelf / "segmentation" / "weights.pth",
        {"teacher": "fpn:tu-test_resnet"},
        "give it with `image_size`",
    ),
    "a folder with a flag": (
        lambda shelf, new: shelf / "classification" / "run",
        {"mean": (0.5, 0.5, 0.5)},
        "has a card that says how it is read: leave out `mean`",
    ),
    "too few names": (
        lambda shelf, new: shelf / "classification" / "library",
        {"class_names": "two.txt"},
        "has 2 names",
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
