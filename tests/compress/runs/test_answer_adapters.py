"""Modules of the user's own that do not answer with one tensor of logits."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import compress
from compress.errors import UsageError
from compress.export import OnnxModel
from compress.runs.answer_adapters import Picked, Place
from compress.runs.own_modules import OwnData, own_source, usable
from compress.settings import DistillSettings
from compress.synthesis.input_prior import make_prior
from compress.testing import FakeTask
from compress.training.parallel import Workers

NAMES, SHAPE = ("a", "b", "c", "d"), (3, 16, 16)
SOURCE = own_source("classification", OwnData(class_names=NAMES, image_shape=SHAPE))
Answer = namedtuple("Answer", "logits features")


class Wrapped(nn.Module):
    """A small classifier whose logits are packed into something."""

    def __init__(self, pack: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.body, self._pack = FakeTask(positions=False).student(), pack

    def forward(self, images: Tensor) -> object:
        return self._pack(self.body(images))


PACKED: dict[str, tuple[Callable[[Tensor], object], Place]] = {
    "field": (lambda logits: Answer(logits, logits), "logits"),
    "key": (lambda logits: {"out": logits, "aux": logits}, "out"),
    "another key": (lambda logits: {"scores": logits}, "scores"),
    "tuple": (lambda logits: (logits, logits.mean()), 0),
    "list": (lambda logits: [logits], 0),
    "after a loss": (lambda logits: (logits.mean(), logits), 1),
    "named tuple": (lambda logits: namedtuple("Two", "score loss")(logits, 1.0), "score"),
    "in a part": (lambda logits: {"head": {"logits": logits}, "loss": 1.0}, "head.logits"),
    "in a tuple of tuples": (lambda logits: ((logits, logits), 1.0), "0.0"),
    "a key that tables have as a method": (lambda logits: {"items": logits}, "items"),
}


@pytest.mark.parametrize("form", PACKED)
def test_what_holds_logits_is_refused_with_the_adapter_that_takes_them(form: str) -> None:
    pack, place = PACKED[form]
    network = Wrapped(pack)
    with pytest.raises(UsageError, match=f"output={place!r}"):
        usable(network, "teacher", SOURCE)
    adapted = usable(network, "teacher", SOURCE, place)
    images = torch.rand(2, *SHAPE)
    assert torch.equal(adapted(images), network.body(images))
    assert adapted.state_dict().keys() == network.state_dict().keys(), "the names are those of the user's class"
    other = Picked(Wrapped(pack), place)
    nn.ModuleList([other]).load_state_dict(nn.ModuleList([adapted]).state_dict())
    assert torch.equal(other.eval()(images), adapted.eval()(images))


def test_a_teacher_and_a_student_that_pack_their_logits_are_distilled(tmp_path: Path) -> None:
    teacher, student = Wrapped(PACKED["field"][0]), Wrapped(PACKED["key"][0])
    teacher.body = FakeTask(positions=False).teacher()
    settings = DistillSettings.model_validate(
        {
            "device": "cpu",
            "inversion": {"samples": 64, "steps": 1, "latent": 16, "width": 8},
            "distillation": {"rounds": 2, "warmup": 1, "steps": 1, "batch": 4},
        }
    )
    student.pack = None
    with pytest.raises(UsageError, match="without 'logits'"):
        compress.distill(teacher, student, class_names=NAMES, image_shape=SHAPE, output="logits", settings=settings)
    student._pack = PACKED["field"][0]
    done = compress.distill(
        teacher,
        student,
        class_names=NAMES,
        image_shape=SHAPE,
        output="logits",
        settings=settings,
        out=tmp_path / "run",
        accept_any_student=True,
    )
    assert load_file(done.folder / "student" / "model.safetensors").keys() == student.state_dict().keys()
    assert done.student(torch.rand(1, *SHAPE)).shape == (1, 4)


def scripted() -> nn.Module:
    return torch.jit.trace(FakeTask(positions=False).student().eval(), torch.rand(1, *SHAPE))


def exported() -> object:
    return torch.export.export(FakeTask(positions=False).student().eval(), (torch.rand(2, *SHAPE),))


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Wrapped(lambda logits: logits.softmax(dim=1)), "leave out its softmax"),
        (scripted, "TorchScript"),
        (exported, "program of torch.export"),
        (lambda: exported().module(), "module of a torch.export program"),
        (lambda: Wrapped(lambda logits: {"loss": 1.0}), "wrap it in a torch.nn.Module"),
        (lambda: "resnet50", "is a str"),
        (lambda: Wrapped(lambda logits: logits[:1]), r"answers 2 images with \[1, 4\]"),
        (lambda: Wrapped(lambda logits: logits.int()), "floating-point logits"),
    ],
    ids=["softmax", "TorchScript", "torch.export", "its module", "no tensor", "a name", "one row", "integers"],
)
def test_what_cannot_be_a_network_is_refused_with_the_way_out(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        usable(make(), "teacher", SOURCE)


def test_log_softmax_is_logits_and_wrappers_of_training_are_taken_off() -> None:
    usable(Wrapped(lambda logits: logits.log_softmax(dim=1)), "teacher", SOURCE)
    network = FakeTask(positions=False).student()
    assert usable(nn.DataParallel(network), "student", SOURCE) is network
    assert usable(torch.compile(network, backend="eager"), "student", SOURCE) is network


class WithAuxiliaryHead(nn.Module):
    """Inception and torchvision's segmenters have a head that is run in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.auxiliary = FakeTask(positions=False).teacher(), nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        return self.body(self.auxiliary(images) if self.training else images)


def test_batch_normalisation_that_is_run_in_training_alone_is_passed_over() -> None:
    whole, body = WithAuxiliaryHead().eval(), FakeTask(positions=False).teacher()
    images, distances = torch.rand(8, *SHAPE), []
    for network in (whole, body):
        with make_prior(network, 0.9, Workers()) as prior:
            network(images)
            distances.append(prior.distance())
            prior.end_round(prior.latest())
    assert torch.equal(*distances)


def test_batch_normalisation_without_statistics_is_called_that(capsys: pytest.CaptureFixture[str]) -> None:
    make_prior(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)), 0.9, Workers())
    assert "track_running_stats=False" in capsys.readouterr().err


def test_what_lies_at_the_place_has_to_be_a_tensor() -> None:
    with pytest.raises(UsageError, match=r"a dict with 'logits' at 'head'.*output='head.logits'"):
        usable(Wrapped(PACKED["in a part"][0]), "teacher", SOURCE, "head")


@pytest.mark.parametrize("make", [scripted, exported, lambda: 7], ids=["TorchScript", "torch.export", "a number"])
def test_what_is_no_module_is_not_written_as_onnx(make: Callable[[], object], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the model is"):
        compress.to_onnx(make(), tmp_path / "own.onnx", class_names=NAMES, image_shape=SHAPE)
    assert not list(tmp_path.iterdir())


def test_to_onnx_asks_for_packed_logits_by_an_argument_that_it_has(tmp_path: Path) -> None:
    network, known = Wrapped(PACKED["in a part"][0]).train(), {"class_names": NAMES, "image_shape": SHAPE}
    with pytest.raises(UsageError, match=r"by `logits_at`, logits_at='head.logits'"):
        compress.to_onnx(network, tmp_path / "own.onnx", **known)
    with pytest.raises(UsageError, match=r"the model Conv2d cannot take 16x4 images"):
        compress.to_onnx(nn.Conv2d(3, 4, 8), tmp_path / "own.onnx", class_names=NAMES, image_shape=(3, 16, 4))
    file = compress.to_onnx(network, tmp_path / "own.onnx", logits_at="head.logits", output="logits", **known)
    images = np.random.default_rng(0).random((2, *SHAPE), dtype=np.float32)
    expected = network.eval()(torch.from_numpy(images))["head"]["logits"].detach().numpy()
    np.testing.assert_allclose(OnnxModel(file).run(images)["logits"], expected, atol=1e-5)


class Strided(nn.Module):
    """A classifier that says how far it scales down, as segmenters do."""

    output_stride = 32

    def __init__(self) -> None:
        super().__init__()
        self.body = FakeTask(positions=False, classes=40).student()

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images)


def test_a_classifier_that_has_an_output_stride_keeps_all_its_classes(tmp_path: Path) -> None:
    network, names = Strided(), tuple(map(str, range(40)))
    file = compress.to_onnx(
        network, tmp_path / "own.onnx", class_names=names, image_shape=SHAPE, mean=(0.5,) * 3, std=(1,) * 3
    )
    assert file.is_file()
