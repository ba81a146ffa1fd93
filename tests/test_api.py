"""Modules of the user's own, through `compress.distill`."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import compress
from compress.api import Distilled, distill
from compress.cli.flags import as_flags
from compress.errors import CompressError, UsageError
from compress.export import OnnxModel, OnnxScores
from compress.settings import DistillSettings
from compress.testing import FakeTask

NAMES = ("a", "b", "c", "d")
SMALL = {
    "device": "cpu",
    "precision": "fp32",
    "inversion": {"samples": 8, "steps": 1, "latent": 16, "width": 8},
    "distillation": {"rounds": 2, "warmup": 1, "steps": 2, "batch": 4, "optimizer": "adamw", "lr": 0.01},
}


def settings(task: str = "classification") -> DistillSettings:
    return DistillSettings.model_validate({**SMALL, "task": task})


def own(*, positions: bool = False, size: int = 16) -> tuple[nn.Module, nn.Module]:
    """A trained-looking teacher and an untrained student."""
    task = FakeTask(positions=positions, size=size)
    return task.teacher(), task.student()


def labelled(teacher: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Plain colours that the teacher is right about."""
    colours = torch.randint(256, (800, 3, 1, 1), generator=torch.Generator().manual_seed(0))
    images = colours.to(torch.uint8).repeat(1, 1, 16, 16)
    return images, teacher(images / 255).argmax(dim=1)


def call(folder: Path, teacher: nn.Module, student: nn.Module, **changed: Any) -> Distilled:
    usual: dict[str, Any] = {"class_names": NAMES, "image_shape": (3, 16, 16), "settings": settings(), "out": folder}
    usual["accept_any_student"] = True
    return distill(teacher, student, **{**usual, **changed})


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, compress; print('distill' in compress.__all__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
    assert callable(compress.distill)


def test_only_the_public_names_are_there() -> None:
    jobs, errors = (
        {"distill", "teach", "evaluate", "predict", "to_onnx"},
        {e.__name__ for e in error_tree(CompressError)},
    )
    settings = {name for name in compress.__all__ if name.endswith("Settings")}
    assert set(compress.__all__) == jobs | errors | settings | {"Distilled"}
    assert {"DistillSettings", "TeachSettings"} <= settings
    assert all(getattr(compress, name).__doc__ for name in compress.__all__)
    with pytest.raises(AttributeError, match="no attribute 'console'"):
        _ = compress.console


def error_tree(kind: type[CompressError]) -> list[type[CompressError]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in error_tree(child))]


def test_with_held_out_data_the_report_holds_scores(tmp_path: Path) -> None:
    teacher, student = own()
    result = call(tmp_path / "run", teacher, student, held_out=labelled(teacher), mean=(0.0,) * 3, std=(1.0,) * 3)
    assert result.report["teacher"]["top1"] == 1.0
    assert result.report["scored_on"] == "800 held-out images of own"
    assert json.loads((result.folder / "report.json").read_text())["student"] == result.report["student"]
    assert all(check["passed"] for check in result.report["parity"])
    assert result.report["kept"] == result.report["student"]["top1"]
    saved = load_file(result.folder / "student" / "model.safetensors")
    assert saved.keys() == student.state_dict().keys(), "under the keys of the user's own class"
    images = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(OnnxScores(OnnxModel(result.onnx))(images), result.student(images).softmax(dim=1))


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_without_held_out_data_the_report_holds_agreement_and_says_so(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher, student = own(positions=task == "segmentation")
    result = call(
        tmp_path / "run",
        teacher,
        student,
        settings=settings(task),
        background=0,
        palette=[(0, 0, 9)] * 4,
        progress=True,
    )
    assert "is not compared with chance" in capsys.readouterr().err
    assert "no held-out data" in result.report["scored_on"]
    assert 0 <= result.report["student"]["agreement"] <= 1
    assert result.report["teacher"]["agreement"] == 1.0
    assert result.report["kept"] is None
    assert not {"top1", "miou"} & result.report["student"].keys()
    assert "no accuracy" in (result.folder / "student" / "README.md").read_text()
    page = (result.folder / "report.html").read_text()
    assert "There was no held-out data" in page
    assert not [word for word in ("top-1", "mIoU", "by class", "teacher’s agreement") if word in page]
    assert all(check["passed"] for check in result.report["parity"])


def test_a_run_of_ones_own_modules_resumes(tmp_path: Path) -> None:
    teacher, student = own()
    first = call(tmp_path / "run", teacher, student)
    trained = {key: value.clone() for key, value in first.student.state_dict().items()}
    again = call(tmp_path / "run", teacher, own()[1], resume=True)
    assert all(torch.equal(trained[key], value) for key, value in again.student.state_dict().items())
    with pytest.raises(UsageError, match="is not empty"):
        call(tmp_path / "run", teacher, own()[1])


class Answers(nn.Module):
    """A network whose logits are what a function makes of them."""

    def __init__(self, change: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.network, self._change = own()[1], change

    def forward(self, images: torch.Tensor) -> object:
        return self._change(self.network(images))


def wrong(case: str) -> dict[str, object]:
    images = torch.zeros(4, 3, 16, 16, dtype=torch.uint8)
    return {
        "classes": {"class_names": ("a", "b", "c")},
        "twice": {"class_names": ("a", "b", "c", "c")},
        "shape": {"image_shape": (1, 16, 16)},
        "nan": {"teacher": Answers(lambda logits: logits * float("nan"))},
        "tuple": {"student": Answers(lambda logits: (logits, logits))},
        "half": {"student": own()[1].half()},
        "frozen": {"student": own()[0]},
        "no module": {"teacher": lambda images: images},
        "shared": {"student": own()[1]},
        "mean alone": {"mean": (0.5, 0.5, 0.5)},
        "zero std": {"mean": (0.5, 0.5, 0.5), "std": (0.0, 1.0, 1.0)},
        "float images": {"held_out": (images / 255, torch.zeros(4, dtype=torch.long))},
        "labels": {"held_out": (images, torch.tensor([0, 1, 2, 4]))},
        "label maps": {"held_out": (images, torch.zeros(4, 16, 16, dtype=torch.long))},
        "chance": {"held_out": (images, torch.tensor([0, 1, 2, 3]))},
        "background": {"background": 4},
        "palette": {"palette": [(0, 0, 0)]},
        "named teacher": {"settings": settings().model_copy(update={"teacher": "resnet34"})},
        "method": {"settings": settings().model_copy(update={"method": "ssdkd"})},
    }[case]


@pytest.mark.parametrize(
    ("case", "complaint"),
    {
        "classes": r"answers one image with \[1, 4\] where classification needs \[1, 3\]",
        "twice": "name each class once",
        "shape": "images are RGB",
        "nan": "the teacher Answers returns NaN",
        "tuple": "the student Answers returns a tuple",
        "half": "call .float()",
        "frozen": "nothing to train",
        "no module": "give a torch.nn.Module",
        "shared": "share weights",
        "mean alone": "or neither",
        "zero std": "std above 0",
        "float images": "as uint8",
        "labels": "labels have the value 4",
        "label maps": r"give integers \[4\]",
        "chance": "not better than chance",
        "background": "the classes are 0 to 3",
        "palette": "1 colours for 4 classes",
        "named teacher": "settings hold teacher",
        "method": "did you mean 'ssd-kd'",
    }.items(),
)
def test_what_does_not_fit_is_refused_in_one_line_and_leaves_nothing(case: str, complaint: str, tmp_path: Path) -> None:
    networks = dict(zip(("teacher", "student"), own(), strict=True))
    if case == "shared":
        networks["teacher"] = networks["student"]
    arguments = {**networks, **(wrong(case) if case != "shared" else {})}
    with pytest.raises(UsageError, match=complaint) as caught:
        call(tmp_path / "run", **arguments)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_run_in_another_thread_is_a_run(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(call, tmp_path / "run", *own()).result()
    assert result.onnx.is_file()


def test_the_callers_random_numbers_signals_and_output_stay_as_they_were(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = own()
    monkeypatch.setattr(signal, "signal", lambda *_: pytest.fail("the API asked for a signal handler"))
    random.seed(11), torch.manual_seed(11)
    expected = torch.rand(3), random.random()
    random.seed(11), torch.manual_seed(11)
    call(tmp_path / "run", *networks)
    assert torch.equal(torch.rand(3), expected[0])
    assert random.random() == expected[1]
    assert capfd.readouterr() == ("", "")


def test_progress_is_said_on_stderr_only_if_it_is_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call(tmp_path / "run", *own(), progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "distilling" in err


def test_errors_of_the_api_name_settings_and_those_of_the_command_line_flags(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="`out`") as refused:
        call(tmp_path, *own())
    assert "--" not in str(refused.value)
    assert "--out" in as_flags(str(refused.value))
